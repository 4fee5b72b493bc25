"""Where tokens go, and what is taken for a server."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.cli.programs import CommandLine
from tieline.cli.client import check_server, connect, is_local
from tieline.settings import CLIENT_SETTINGS, PREFIX

TOKEN = "a-token-that-goes-nowhere-else"


@contextmanager
def stranger(status: int, body: bytes = b"", **headers: str) -> Iterator[tuple[str, list[str]]]:
    """A server that always answers the same; its URL, and the `Authorization` headers that it was sent."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization", ""))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing on standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()


@pytest.mark.parametrize(
    "url", ["ftp://x", "x.example", "", "http://", "http://a..b", "http://x:99999", "https://x/?a=1", "https://x/#a"]
)
def test_a_server_is_a_url(url: str) -> None:
    with pytest.raises(ValueError, match=r"must be a URL like https://tieline\.example\.com"):
        check_server(url)


def test_a_server_may_have_a_path_and_no_password() -> None:
    assert check_server("https://x.example/tieline/") == "https://x.example/tieline"
    with pytest.raises(ValueError, match="no user or password") as caught:
        check_server("https://user:hunter2@x.example")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8420", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:8420", True),
        ("http://localhost", True),
        ("http://localhost.example.com", False),
        ("http://10.0.0.1", False),
        ("https://tieline.example.com", False),
    ],
)
def test_the_administrators_token_is_sent_to_this_machine_only(
    url: str, *, local: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "admin-token").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("TIELINE_DATA", str(tmp_path))
    monkeypatch.delenv("TIELINE_TOKEN", raising=False)
    assert is_local(url) is local
    assert connect(url).token == (TOKEN if local else None)


def test_a_client_does_not_show_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIELINE_TOKEN", TOKEN)
    assert TOKEN not in repr(connect("https://x.example"))


def test_a_token_that_cannot_be_one_is_not_repeated(alone: CommandLine) -> None:
    ended = alone("project", "list", TIELINE_TOKEN="hunter2\nand more")
    assert ended.status == 3
    assert "hunter2" not in ended.err
    assert "TIELINE_TOKEN has characters that no token has." in ended.err


def test_a_redirect_is_refused_and_the_token_stays(alone: CommandLine) -> None:
    with stranger(200, b"[]") as (elsewhere, sent_elsewhere), stranger(302, Location=elsewhere) as (url, sent):
        ended = alone("project", "list", TIELINE_SERVER=url, TIELINE_TOKEN=TOKEN)
    assert ended.status == 7
    assert f"Set TIELINE_SERVER to where it leads: {elsewhere}" in ended.err
    assert sent == [f"Bearer {TOKEN}"]
    assert sent_elsewhere == []


def test_something_else_at_the_address_is_told_apart(alone: CommandLine) -> None:
    with stranger(200, b"<html>") as (url, _):
        for command in (("project", "list"), ("integration", "add", "bitbucket")):
            assert alone(*command, TIELINE_SERVER=url, TIELINE_TOKEN=TOKEN).status == 7
    with stranger(200, json.dumps({"openapi": "3.1.0"}).encode()) as (url, _):
        ended = alone("integration", "add", "bitbucket", TIELINE_SERVER=url, TIELINE_TOKEN=TOKEN)
    assert ended.status == 7
    assert "Is TIELINE_SERVER right?" in ended.err


def test_nobody_at_the_address_is_said_with_what_to_do(alone: CommandLine) -> None:
    ended = alone("project", "list")
    assert (ended.status, ended.out) == (7, "")
    assert ended.err.splitlines() == [
        "http://127.0.0.1:1 cannot be reached: Connection refused.",
        "Is `tieline serve` running? TIELINE_SERVER or --server says where.",
    ]


def test_the_server_knows_which_variables_are_the_clients(alone: CommandLine) -> None:
    shown = alone("--help").out
    assert all(name.startswith(PREFIX) and f"  {name} " in shown for name in CLIENT_SETTINGS)
