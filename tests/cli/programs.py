"""The real programs that these tests talk to, and the command line as a person runs it."""

# ruff: noqa: S310 - every URL here leads to the loopback address

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

import pytest

from tieline.cli import main

TIELINE = Path(sys.executable).with_name("tieline")
ADMIN_TOKEN = "cli-admin-token-0123456789abcdef0123456789"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without any setting of Tieline's but `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIELINE_")}
    return {**kept, **more}


def wait_until(check: Callable[[], bool], what: str, *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.02)


def wait_until_answered(url: str) -> None:
    wait_until(lambda: _answers(url), f"an answer of {url}", seconds=60)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def running(log: Path, *arguments: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """A `tieline` command that runs until the block ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [TIELINE, *arguments], stdout=output, stderr=output, env=clean_environment(**settings)
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@dataclass(frozen=True)
class Bitbucket:
    """`tieline simulate bitbucket`."""

    url: str
    log: Path

    @property
    def settings(self) -> dict[str, str]:
        """What points Tieline at it."""
        return {
            "TIELINE_BITBUCKET_API": f"{self.url}/2.0",
            "TIELINE_BITBUCKET_OAUTH": f"{self.url}/site/oauth2/access_token",
            "TIELINE_EGRESS_ALLOW": "127.0.0.0/8",
        }

    def wait_until_described(self) -> str:
        """What it prints once it can be used."""
        wait_until(lambda: "Be its developer:" in self.log.read_text(), f"the description in {self.log}")
        return self.log.read_text()

    def repository(self, method: str, path: str, body: Any = None) -> Any:
        """A request to the REST API of its sample repository."""
        return call(method, f"{self.url}/2.0/repositories/acme/site{path}", "sample-token", body)


@dataclass(frozen=True)
class Server:
    """`tieline serve`, with a deployer that can be held up and made to fail."""

    url: str
    folder: Path
    settings: Mapping[str, str]

    def bytes_of(self, path: str) -> bytes:
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
        with urllib.request.urlopen(request) as answer:
            answered: bytes = answer.read()
            return answered

    @contextmanager
    def deployer_told(self, word: str) -> Iterator[Path]:
        """Have the deployer `hold` before its end until the file is gone, or `fail`."""
        flag = self.folder / "deployer" / word
        flag.touch()
        try:
            yield flag
        finally:
            flag.unlink(missing_ok=True)


def call(method: str, url: str, token: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method)) as answer:
        return json.loads(answer.read() or b"null")


@dataclass
class Ended:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@dataclass
class CommandLine:
    """`tieline` in this process: as the program, without the second that starting one takes."""

    patch: pytest.MonkeyPatch
    settings: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str, stdin: str = "", **settings: str) -> Ended:
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        with self.patch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name in [each for each in os.environ if each.startswith("TIELINE_")]:
                patch.delenv(name)
            for name, value in {**self.settings, **settings}.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["tieline", *arguments])
            patch.setattr(sys, "stdin", io.StringIO(stdin))
            status = _status_of_main()
        return Ended(status, *(each.buffer.getvalue().decode() for each in (out, err)))

    def within(self, **settings: str) -> "CommandLine":
        return CommandLine(self.patch, {**self.settings, **settings})


def _status_of_main() -> int:
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@contextmanager
def started(*arguments: str, settings: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """`tieline` as a process of its own, with pipes; killed at the end of the block if it is still there."""
    process = subprocess.Popen(
        [TIELINE, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=clean_environment(**settings),
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def read_until(stream: IO[bytes] | None, words: bytes) -> list[bytes]:
    """The lines up to the one that has the words in it."""
    assert stream is not None
    lines = [stream.readline()]
    while lines[-1] and words not in lines[-1]:
        lines.append(stream.readline())
    assert words in lines[-1], lines
    return lines


class Cutter:
    """Stands between client and server, and cuts the first answer in the middle of a line once it has said `word`."""

    def __init__(self, server: str, word: bytes) -> None:
        host, _, port = server.removeprefix("http://").rpartition(":")
        self._upstream = (host, int(port))
        self._word = word
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.requests: list[str] = []
        self.cuts = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._upstream) as server:
            request = client.recv(65536)
            self.requests.append(request.split(b"\r\n", 1)[0].decode())
            server.sendall(request)
            said = b""
            while data := server.recv(65536):
                said += data
                at = said.find(self._word)
                if at >= 0 and not self.cuts:
                    self.cuts += 1
                    client.sendall(data[: len(data) - (len(said) - at - len(self._word))])
                    return
                client.sendall(data)
