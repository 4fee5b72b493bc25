"""How a receiver answers, well or badly."""

from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

Close = Literal["", "before-headers", "after-headers"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Behaviour:
    """One way to answer; without arguments it is the good one.

    `delay` is in seconds before the answer, and `drip` between every two bytes of its body. With `hang` no answer ever
    comes. `close` breaks the connection off instead of the answer, or between its headers and its body. `size` is how
    many bytes the body has, whatever `body` says.
    """

    status: int = 200
    body: str = '{"status":"ok"}'
    retry_after: str = ""
    location: str = ""
    delay: float = 0.0
    drip: float = 0.0
    hang: bool = False
    close: Close = ""
    size: int = 0

    def head(self) -> bytes:
        """The status line and the headers."""
        extra = {"Retry-After": self.retry_after, "Location": self.location}
        lines = [f"{name}: {value}" for name, value in extra.items() if value]
        length = self.size or len(self.body.encode())
        said = [f"HTTP/1.1 {self.status} Simulated", "Content-Type: application/json", f"Content-Length: {length}"]
        return "\r\n".join([*said, *lines, "", ""]).encode()
