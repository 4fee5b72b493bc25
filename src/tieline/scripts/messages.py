"""What a process that runs a script may say. It may have been taken over, so that nothing of it is believed unread."""

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class _Said(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Logged(_Said):
    do: Literal["log"]
    text: str


class Fetch(_Said):
    do: Literal["fetch"]
    url: str
    method: str
    headers: dict[str, str]
    body: str | None


class Get(_Said):
    do: Literal["get"]
    key: str


class Set(_Said):
    do: Literal["set"]
    key: str
    value: str


class Remove(_Said):
    do: Literal["remove"]
    key: str


class Clear(_Said):
    do: Literal["clear"]


class Done(_Said):
    do: Literal["done"]


class Failed(_Said):
    """`error` is what JavaScript says, and on further lines where."""

    do: Literal["failed"]
    out_of_memory: bool
    error: str


Asked = Fetch | Get | Set | Remove | Clear
Said = Asked | Logged | Done | Failed

_SAID: Final[TypeAdapter[Said]] = TypeAdapter(Annotated[Said, Field(discriminator="do")])


def read_message(frame: bytes) -> Said:
    """Raises `ValueError` when it is nothing that is ever said."""
    return _SAID.validate_json(frame)
