"""Git over HTTP: the real `git http-backend`, behind the host's own check of who comes."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from tieline.simulators.bitbucket.faults import Faults
from tieline.simulators.bitbucket.oauth import OAuth
from tieline.simulators.bitbucket.plumbing import environment
from tieline.simulators.bitbucket.state import Host, Repository

_CHUNK: Final = 64 * 1024
MAINTENANCE: Final = "<!DOCTYPE html><html><body><h1>We'll be back soon</h1></body></html>"


@dataclass
class SmartHTTP:
    """Serves `/{workspace}/{slug}.git/...`. `pushed` is awaited after each push."""

    host: Host
    oauth: OAuth
    faults: Faults
    pushed: Callable[[Repository], Awaitable[None]]

    async def endpoint(self, request: Request) -> Response:
        """One request of git's."""
        if (broken := self._broken(request)) is not None:
            return broken
        full_name, _, rest = request.path_params["path"].partition(".git")
        repository = self.host.find(full_name)
        if self.oauth.find(request.headers.get("authorization", "")) is None:
            # Real and imagined repositories look alike to whoever may not read them.
            return Response("Authentication required", 401, {"WWW-Authenticate": 'Basic realm="Bitbucket.org HTTP"'})
        if repository is None and (moved := self.host.renamed.get(full_name.casefold())) is not None:
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"/{moved}.git{rest}{query}", 301)
        if repository is None:
            return Response("Repository not found", 404)
        return await self._serve(request, repository, rest)

    def _broken(self, request: Request) -> Response | None:
        match self.faults.find("git-"):
            case "500":
                return Response("Internal error", 500)
            case "html":
                return HTMLResponse(MAINTENANCE)
            case "redirect":
                return RedirectResponse(f"http://localhost:9{request.url.path}", 302)
            case "no-refs" if request.url.path.endswith("/info/refs"):
                body = b"001e# service=git-upload-pack\n0000" + b"0000"
                return Response(body, media_type="application/x-git-upload-pack-advertisement")
        return None

    async def _serve(self, request: Request, repository: Repository, rest: str) -> Response:
        process = await asyncio.create_subprocess_exec(
            "git",
            "http-backend",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_cgi(request, repository.path, rest),
        )
        feeding = asyncio.create_task(_feed(process, request.stream()))
        assert process.stdout is not None  # noqa: S101 - asked for above
        status, headers = await _read_head(process.stdout)

        async def body() -> AsyncIterator[bytes]:
            truncate = self.faults.find("git-") == "truncated" and rest == "/info/refs"
            async for chunk in _chunks(process):
                if truncate:
                    yield chunk[: len(chunk) // 2]
                    break
                yield chunk
            await feeding
            await process.wait()
            if rest == "/git-receive-pack":
                await self.pushed(repository)

        return StreamingResponse(body(), status, headers)


def _cgi(request: Request, path: Path, rest: str) -> dict[str, str]:
    values = {
        **environment(),
        "GIT_PROJECT_ROOT": str(path),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": rest,
        "QUERY_STRING": request.url.query,
        "REQUEST_METHOD": request.method,
        "REMOTE_USER": "x-token-auth",
        "REMOTE_ADDR": request.client.host if request.client else "",
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
        "HTTP_GIT_PROTOCOL": request.headers.get("git-protocol", ""),
        "HOME": os.devnull,
    }
    if "content-length" in request.headers:
        values["CONTENT_LENGTH"] = request.headers["content-length"]
    return values


async def _feed(process: asyncio.subprocess.Process, stream: AsyncIterator[bytes]) -> None:
    assert process.stdin is not None  # noqa: S101 - asked for by the caller
    try:
        async for chunk in stream:
            process.stdin.write(chunk)
            await process.stdin.drain()
        process.stdin.close()
    except (BrokenPipeError, ConnectionResetError):
        return  # it had read enough


async def _read_head(output: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    status, headers = 200, dict[str, str]()
    while (line := (await output.readline()).decode().strip()) != "":
        name, _, value = line.partition(":")
        if name.lower() == "status":
            status = int(value.split()[0])
        else:
            headers[name] = value.strip()
    return status, headers


async def _chunks(process: asyncio.subprocess.Process) -> AsyncIterator[bytes]:
    assert process.stdout is not None  # noqa: S101 - asked for by the caller
    while chunk := await process.stdout.read(_CHUNK):
        yield chunk
