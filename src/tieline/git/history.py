"""Commits as activities show them. Pure."""

from typing import Final

from tieline.core.documents import Commit

# Fields end with NUL, which neither a name nor a message can hold.
LOG_FORMAT: Final = "--format=tformat:%H%x00%P%x00%an%x00%ae%x00%at%x00%B%x00"
_FIELDS: Final = 6


def parse_log(output: bytes) -> tuple[Commit, ...]:
    """What `git log` with `LOG_FORMAT` printed, in its order. Bytes that are not UTF-8 are shown as such."""
    fields = output.decode("utf-8", "replace").split("\0")
    whole = len(fields) // _FIELDS * _FIELDS
    return tuple(_commit(fields[at : at + _FIELDS]) for at in range(0, whole, _FIELDS))


def _commit(fields: list[str]) -> Commit:
    sha, parents, name, email, date, message = fields
    return Commit(
        # A newline ends the record before.
        sha=sha.strip(),
        author_name=name,
        author_email=email,
        date=int(date) if date.isdecimal() else 0,
        message=message.rstrip("\n"),
        parents=tuple(parents.split()),
    )
