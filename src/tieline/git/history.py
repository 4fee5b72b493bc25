"""Commits as activities show them. Pure."""

from typing import Final

from tieline.core.documents import Commit

# Fields end with NUL, which neither a name nor a message can hold.
LOG_FORMAT: Final = "--format=tformat:%H%x00%P%x00%an%x00%ae%x00%at%x00%B%x00"
# Of all that is shown of commits; a message may be as long as its author likes, and each is kept with an activity.
MOST_BYTES_OF_LOG: Final = 4 * 1024 * 1024
LONGEST_MESSAGE: Final = 10_000
_LONGEST_NAME: Final = 255
_FIELDS: Final = 6


def parse_log(output: bytes) -> tuple[Commit, ...]:
    """What `git log` with `LOG_FORMAT` printed, or the beginning of it, in its order.

    Bytes that are not UTF-8 are shown as such, and long texts are cut.
    """
    fields = output.decode("utf-8", "replace").split("\0")
    whole = len(fields) // _FIELDS * _FIELDS
    return tuple(_commit(fields[at : at + _FIELDS]) for at in range(0, whole, _FIELDS))


def _commit(fields: list[str]) -> Commit:
    sha, parents, name, email, date, message = fields
    return Commit(
        # A newline ends the record before.
        sha=sha.strip(),
        author_name=name[:_LONGEST_NAME],
        author_email=email[:_LONGEST_NAME],
        date=int(date) if date.isdecimal() else 0,
        message=message[:LONGEST_MESSAGE].rstrip("\n"),
        parents=tuple(parents.split()),
    )
