"""What can be the name of a repository at Bitbucket. Pure."""

import re
from typing import Final

_LONGEST: Final = 500
_PART: Final = r"[^/\s\x00-\x1f\x7f-\x9f?#%\\:@]+"
_NAME: Final = re.compile(rf"{_PART}/{_PART}\Z")


def is_repository(name: str) -> bool:
    """Whether this is `user/repo`. Neither part is judged, as long as it stays one when it is put into an address."""
    parts = name.split("/")
    return len(name) <= _LONGEST and _NAME.match(name) is not None and not any(part in (".", "..") for part in parts)
