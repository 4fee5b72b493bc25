"""A Tieline as a process of its own, for tests."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 15.0
_CALL_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.02
_READY: Final = re.compile(r"^Tieline \S+ is ready at (\S+)$", re.MULTILINE)
_OUTPUT: Final = "output"
_LOG: Final = "log"


class CallFailed(Exception):
    """The server said no: `status` is what it answered with, `document` what it said."""

    def __init__(self, method: str, path: str, status: int, document: Any) -> None:
        super().__init__(f"{method} {path}: {status} {document}")
        self.status = status
        self.document = document


@dataclass(frozen=True)
class TielineServer:
    """A running server. `token` is the administrator's API token, `folder` is where its data is."""

    url: str
    token: str = field(repr=False)
    folder: Path

    @property
    def log(self) -> str:
        """What the server has said of itself so far."""
        return (self.folder / _LOG).read_text(errors="replace")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON that the server answers; `path` begins with a slash. Raises `CallFailed`."""
        return json.loads(self._send(method, path, body) or b"null")

    def get(self, path: str) -> Any:
        """`call` with GET."""
        return self.call("GET", path)

    def create_project(self, title: str, **fields: Any) -> "TielineProject":
        """A new project."""
        created = self.call("POST", "/projects", {"title": title, **fields})
        return TielineProject(self, created["_embedded"]["entity"]["id"])

    def snapshot(self) -> None:
        """Remember everything as it is now, for `reset`."""
        self.call("POST", "/_tieline/snapshot")

    def reset(self) -> None:
        """Bring back what was there at the last snapshot, or else when the server started."""
        self.call("POST", "/_tieline/reset")

    def export(self, *project_ids: str) -> str:
        """Everything, or only these projects, as a file to start another server with."""
        query = "&".join(f"project={each}" for each in project_ids)
        return self._send("GET", f"/_tieline/export?{query}").decode()

    def _send(self, method: str, path: str, body: Any = None) -> bytes:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.url}{path}", data, headers, method=method)  # noqa: S310 - the server's own URL
        try:
            with build_opener(ProxyHandler({})).open(request, timeout=_CALL_SECONDS) as answer:
                sent: bytes = answer.read()
                return sent
        except HTTPError as error:
            with error:
                raise CallFailed(method, path, error.code, _readable(error.read())) from None


@dataclass(frozen=True)
class TielineProject:
    """A project of a running server."""

    server: TielineServer
    id: str

    @property
    def path(self) -> str:
        """The path of the project, e.g. `/projects/abcdefghijklm`."""
        return f"/projects/{self.id}"

    def call(self, method: str, path: str = "", body: Any = None) -> Any:
        """As the server's, below the project's own path: `call("POST", "/integrations", {...})`."""
        return self.server.call(method, f"{self.path}{path}", body)

    def get(self, path: str = "") -> Any:
        """`call` with GET."""
        return self.call("GET", path)


@contextmanager
def running_server(settings: Mapping[str, str] | None = None, seed: Path | None = None) -> Iterator[TielineServer]:
    """Start a server that can be reset, and stop it at the end; nothing of it stays.

    `settings` are variables such as `TIELINE_EGRESS_ALLOW`. Raises `RuntimeError` with what the server said when it
    does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="tieline-"))
    # PostgreSQL refuses to run as root, and its own account must get through.
    folder.chmod(0o755)
    token = secrets.token_urlsafe(32)
    try:
        with _started(folder, _environment(folder, token, settings or {}), seed) as process:
            yield TielineServer(_wait_for_url(process, folder), token, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _environment(folder: Path, token: str, settings: Mapping[str, str]) -> dict[str, str]:
    """The environment without whatever server it speaks of."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("TIELINE_")}
    return {
        **others,
        "TIELINE_DATA": str(folder / "data"),
        "TIELINE_LISTEN": "127.0.0.1:0",
        "TIELINE_ADMIN_TOKEN": token,
        "TIELINE_DEVELOPMENT": "1",
        **settings,
    }


@contextmanager
def _started(folder: Path, environment: Mapping[str, str], seed: Path | None) -> "Iterator[subprocess.Popen[bytes]]":
    command = [sys.executable, "-m", "tieline", "serve", *(["--seed", str(seed)] if seed is not None else [])]
    with (folder / _OUTPUT).open("wb") as output, (folder / _LOG).open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=log, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_url(process: "subprocess.Popen[bytes]", folder: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        found = _READY.search((folder / _OUTPUT).read_text(errors="replace"))
        if found is not None:
            return found[1]
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"Tieline did not start:\n{(folder / _LOG).read_text(errors='replace')}")
        time.sleep(_PAUSE_SECONDS)


def _readable(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
