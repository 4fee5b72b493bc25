"""The web server of one root: every site at a port of its own, as the folders in the root say.

It is started by the first deployment and lives on. `control.py` speaks to it.
"""

import errno
import fcntl
import json
import mimetypes
import os
import selectors
import shutil
import socket
import socketserver
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import quote, unquote_to_bytes

import control
from access import Access, parse_access
from settings import ANY_FREE_PORT, Refused, Settings, read_settings
from sites import SiteFolder, all_sites, is_hidden

_DATA: Final = "data"
_PATIENCE_SECONDS: Final = 2
_ENCODED: Final = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
_NOT_FREE: Final = frozenset({errno.EADDRINUSE, errno.EACCES})


@dataclass(frozen=True)
class Served:
    """One site as it is served at the moment."""

    tree: Path
    data: Path
    restrict_robots: bool
    access: Access

    def find(self, parts: Sequence[str]) -> Path | None:
        """The file or folder at a path of the URL; the tree comes first, then the data under `data`."""
        found = find_public(self.tree, parts)
        if found is None and parts and parts[0] == _DATA:
            return find_public(self.data, parts[1:])
        return found


def load_site(folder: SiteFolder) -> Served | None:
    """None when it is not to be served. Raises `Refused` when its file is damaged."""
    site = folder.read()
    if site is None or site.is_paused:
        return None
    return Served(folder.trees / site.tree, folder.data, site.restrict_robots, parse_access(site.http_access))


def split_path(target: str) -> list[str]:
    """The parts of a request's path, whatever bytes it is made of; empty ones are dropped."""
    path = target.partition("?")[0].partition("#")[0].encode("latin-1")
    return [part for part in os.fsdecode(unquote_to_bytes(path)).split("/") if part]


def find_public(root: Path, parts: Sequence[str]) -> Path | None:
    """What is there, if it may be seen: nothing hidden, and nothing that a link finds outside of the root."""
    if any(is_hidden(part) or "\0" in part for part in parts):
        return None
    top = Path(os.path.realpath(root))
    found = Path(os.path.realpath(top.joinpath(*parts)))
    if not found.is_relative_to(top) or any(is_hidden(part) for part in found.relative_to(top).parts):
        return None
    # Not Path's own methods: they raise for names that are too long.
    return found if os.path.isfile(found) or os.path.isdir(found) else None  # noqa: PTH112, PTH113


def content_type(path: Path) -> str:
    """Of a file, by its name."""
    kind, encoding = mimetypes.guess_type(path.name)
    if encoding:
        return _ENCODED.get(encoding, "application/octet-stream")
    if kind is None:
        return "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


class Handler(BaseHTTPRequestHandler):
    """Answers one request for one site."""

    server: "Listener"
    timeout = 30
    server_version = "static-site"
    sys_version = ""

    def do_GET(self) -> None:
        served = self.server.served
        if not served.access.admits_address(self.client_address[0]):
            self._say(HTTPStatus.FORBIDDEN)
        elif not served.access.admits_user(self.headers["Authorization"]):
            self._say(HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": 'Basic realm="environment", charset="UTF-8"'})
        else:
            self._answer(served)

    do_HEAD = do_GET  # noqa: N815

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        if self.server.served.restrict_robots:
            self.send_header("X-Robots-Tag", "noindex, nofollow")
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""

    def _answer(self, served: Served) -> None:
        parts, is_folder = split_path(self.path), self.path.partition("?")[0].endswith("/")
        found = served.find(parts)
        if found is not None and found.is_dir():
            if not is_folder:
                self._say(HTTPStatus.MOVED_PERMANENTLY, {"Location": f"/{quote(os.fsencode('/'.join(parts)))}/"})
                return
            found = served.find([*parts, "index.html"])
        elif is_folder:
            found = None
        if found is not None and found.is_file():
            self._send_file(HTTPStatus.OK, found)
        else:
            self._send_missing(served)

    def _send_missing(self, served: Served) -> None:
        page = served.find(["404.html"])
        if page is not None and page.is_file():
            self._send_file(HTTPStatus.NOT_FOUND, page)
        else:
            self._say(HTTPStatus.NOT_FOUND)

    def _send_file(self, status: HTTPStatus, path: Path) -> None:
        try:
            with path.open("rb") as file:
                self._send_open_file(status, path, file)
        except (FileNotFoundError, PermissionError):
            self._say(HTTPStatus.NOT_FOUND)

    def _send_open_file(self, status: HTTPStatus, path: Path, file: IO[bytes]) -> None:
        facts = os.fstat(file.fileno())
        tag = f'"{facts.st_ino:x}-{facts.st_mtime_ns:x}-{facts.st_size:x}"'
        if status == HTTPStatus.OK and tag in (self.headers["If-None-Match"] or ""):
            self.send_response(HTTPStatus.NOT_MODIFIED)
            self.send_header("ETag", tag)
            self.end_headers()
            return
        self.send_response(status)
        self.send_header("Content-Type", content_type(path))
        self.send_header("Content-Length", str(facts.st_size))
        self.send_header("ETag", tag)
        self.end_headers()
        if self.command == "GET":
            shutil.copyfileobj(file, self.wfile)

    def _say(self, status: HTTPStatus, headers: dict[str, str] | None = None) -> None:
        text = f"{status} {status.phrase}\n".encode()
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Type": "text/plain; charset=utf-8"}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(text)


class Listener(socketserver.ThreadingTCPServer):
    """Listens at the port of one site. Raises `OSError` when the port is not free."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128
    timeout = 0

    def __init__(self, host: str, port: int, served: Served) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.served = served
        super().__init__((host, port), Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are no news."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Server:
    """All sites of a root. Works in one thread; requests are answered in others."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._version = control.version(settings)
        self._selector = selectors.DefaultSelector()
        self._listeners: dict[str, Listener] = {}

    def run(self, orders: socket.socket, on_ready: Callable[[], None]) -> None:
        """Serve until told to stop."""
        self._selector.register(orders, selectors.EVENT_READ, lambda: self._obey(orders))
        self._open_all()
        on_ready()
        while True:
            for key, _ in self._selector.select():
                key.data()

    def _open_all(self) -> None:
        """Each at its own port or not at all: only a deployment tells people a new one."""
        for folder in all_sites(self._settings.root):
            port = folder.read_port()
            try:
                if port is not None:
                    self._open(folder, [port])
            except (Refused, OSError) as error:
                print(f"{folder.name} is not served: {error}", file=sys.stderr, flush=True)

    def _obey(self, orders: socket.socket) -> None:
        connection, _ = orders.accept()
        with connection:
            connection.settimeout(1)
            try:
                request = json.loads(connection.makefile("rb").readline())
                answer = {"version": self._version, **self._carry_out(request)}
                connection.sendall(json.dumps(answer).encode())
            except (ValueError, OSError) as error:
                print(f"An order was not understood: {error}", file=sys.stderr, flush=True)
                return
            if request["command"] == "stop":
                # The caller reads until the connection ends, which is when this process has ended.
                os._exit(0)

    def _carry_out(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            if request["command"] == "open":
                return {"port": self._open_anywhere(SiteFolder(self._settings.root, request["site"]))}
            if request["command"] == "close":
                self._close(request["site"])
        except (Refused, OSError) as error:
            return {"error": str(error)}
        return {}

    def _open_anywhere(self, folder: SiteFolder) -> int:
        kept = folder.read_port()
        return self._open(folder, [*([] if kept is None else [kept]), *self._candidates(folder.name)])

    def _candidates(self, name: str) -> Iterable[int]:
        """Ports to try, in an order that depends on the name: an environment that comes back gets its old one."""
        ports = self._settings.ports
        if not ports:
            return [ANY_FREE_PORT]
        taken = {folder.read_port() for folder in all_sites(self._settings.root)}
        first = zlib.crc32(name.encode()) % len(ports)
        return [port for port in (*ports[first:], *ports[:first]) if port not in taken]

    def _open(self, folder: SiteFolder, ports: Iterable[int]) -> int:
        served = load_site(folder)
        if served is None:
            self._close(folder.name)
            raise Refused(f"{folder.name} is not deployed.")
        listener = self._listeners.get(folder.name)
        if listener is not None:
            listener.served = served
            return listener.port
        listener = self._listen(ports, served)
        self._listeners[folder.name] = listener
        self._selector.register(listener, selectors.EVENT_READ, partial(self._accept, folder.name))
        folder.write_port(listener.port)
        return listener.port

    def _accept(self, name: str) -> None:
        # An order that came together with this request may have closed the site.
        if name in self._listeners:
            self._listeners[name].handle_request()

    def _listen(self, ports: Iterable[int], served: Served) -> Listener:
        for port in ports:
            try:
                return Listener(self._settings.host, port, served)
            except OSError as error:
                if error.errno not in _NOT_FREE:
                    raise
        raise Refused(f"No port is free for it at {self._settings.host}; see STATIC_SITE_PORTS.")

    def _close(self, name: str) -> None:
        listener = self._listeners.pop(name, None)
        if listener is not None:
            self._selector.unregister(listener)
            listener.server_close()


def main() -> None:
    settings = read_settings()
    settings.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.chdir(settings.root)
    with Path("server.lock").open("a") as lock:
        if not _lock_patiently(lock):
            sys.exit(f"Another server works in {settings.root} already.")
        _sign(lock)
        with _listen_for_orders() as orders:
            Server(settings).run(orders, _say_ready)


def _lock_patiently(lock: IO[str]) -> bool:
    """Whether no other server holds it. One that is just ending is given a moment."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)
        else:
            return True
    return False


def _sign(lock: IO[str]) -> None:
    """Say which process this is: for people, nothing here relies on it."""
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()


def _listen_for_orders() -> socket.socket:
    orders = socket.socket(socket.AF_UNIX)
    Path(control.SOCKET).unlink(missing_ok=True)
    os.umask(0o077)
    orders.bind(control.SOCKET)
    orders.listen()
    return orders


def _say_ready() -> None:
    """Tell who started this process, who may not be listening any more; then let go of its pipe."""
    with suppress(BrokenPipeError):
        os.write(1, control.READY)
    os.dup2(2, 1)


if __name__ == "__main__":
    main()
