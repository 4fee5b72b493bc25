"""Talks to the web server of a root, and starts it. One line of JSON each way, over a socket in the root.

The socket says whether the server lives: nothing here trusts a process id that another program may have by now.
"""

import fcntl
import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from settings import Refused, Settings

# Relative, because the path of a Unix socket is limited to some hundred bytes: both sides work in the root.
SOCKET: Final = "control.sock"
READY: Final = b"ready\n"
_HERE: Final = Path(__file__).resolve().parent
_ANSWER_SECONDS: Final = 20
_LOG_SHOWN: Final = 2000


def version(settings: Settings) -> str:
    """Changes with the code of the server and with its settings: a server of another version is replaced."""
    digest = hashlib.sha256(repr((settings.host, settings.ports)).encode())
    for name in ("access.py", "server.py", "settings.py", "sites.py"):
        digest.update((_HERE / name).read_bytes())
    return digest.hexdigest()


def open_site(settings: Settings, name: str) -> int:
    """Serve what the site's folder says now, and return the port. Starts the server when there is none."""
    answer = _call({"command": "open", "site": name})
    if answer is None or answer["version"] != version(settings):
        start(settings)
        answer = _call({"command": "open", "site": name})
    if answer is None:
        raise Refused(f"The web server ended at once. {_end_of_log()}")
    if "error" in answer:
        raise Refused(answer["error"])
    return int(answer["port"])


def close_site(name: str) -> None:
    """Stop serving a site, if it is served."""
    answer = _call({"command": "close", "site": name})
    if answer is not None and "error" in answer:
        raise Refused(answer["error"])


def start(settings: Settings) -> None:
    """See to it that a server of this version runs, with every site that it should serve."""
    with _only_one_starts():
        running = _call({"command": "hello"})
        if running is not None and running["version"] == version(settings):
            return
        stop()
        _spawn()


def stop() -> bool:
    """End the server and wait until it is gone. False when there was none."""
    return _call({"command": "stop"}) is not None


def _call(request: dict[str, Any]) -> dict[str, Any] | None:
    """The answer; None when no server is there, or when it ended instead of answering."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        try:
            connection.connect(SOCKET)
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = connection.makefile("rb").read()
        except (FileNotFoundError, ConnectionError):
            return None
        except TimeoutError:
            raise Refused(
                f"The web server does not answer. End it ({Path.cwd() / 'server.lock'} has its id)."
            ) from None
    return json.loads(answer) if answer else None


@contextmanager
def _only_one_starts() -> Iterator[None]:
    with Path("start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _spawn() -> None:
    """In a session of its own and with its output in a file, so that it outlives this action."""
    with Path("server.log").open("ab") as log:
        server = subprocess.Popen(
            [sys.executable, str(_HERE / "server.py")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    if server.stdout is None or server.stdout.readline() != READY:
        raise Refused(f"The web server did not start. {_end_of_log()}")


def _end_of_log() -> str:
    log = Path("server.log").absolute()
    return f"The end of {log}:\n{log.read_text(errors='replace')[-_LOG_SHOWN:]}" if log.exists() else ""


def serve_here() -> None:
    """Become the server, in the foreground: for a service manager."""
    os.execv(sys.executable, [sys.executable, str(_HERE / "server.py")])  # noqa: S606 - it takes this process's place
