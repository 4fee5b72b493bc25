"""The host as a whole: start it, change it as its people would, look at what came of it."""

import asyncio
import math
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tieline.simulators.bitbucket import oauth, plumbing
from tieline.simulators.bitbucket.events import Events
from tieline.simulators.bitbucket.faults import Faults
from tieline.simulators.bitbucket.payloads import JSON, Renderer
from tieline.simulators.bitbucket.rest import REST, Operations, RefusedError
from tieline.simulators.bitbucket.smart_http import SmartHTTP
from tieline.simulators.bitbucket.state import Addon, Consumer, Host, Pull, Repository, Token, timestamp
from tieline.simulators.bitbucket.webhooks import Webhooks


class _QuietServer(uvicorn.Server):
    """uvicorn takes over the signals of the whole process; inside a test or a tour they belong to others."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class BitbucketSimulator:
    """A Bitbucket Cloud on a loopback port. `async with` starts and stops it.

    Everything a person does at the host has a method; `faults` is what goes wrong there.
    """

    def __init__(self, folder: Path, *, host: str = "127.0.0.1", port: int = 0, expires_in: int = 7200) -> None:
        self._folder = folder
        self._socket = socket.create_server((host, port))
        # Accepted connections inherit it. Without, every second answer on a connection is 40 ms late.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = f"http://{host}:{self._socket.getsockname()[1]}"
        self.faults = Faults()
        self.host = Host()
        self.webhooks = Webhooks(self.faults)
        render = Renderer(self.url)
        self._events = Events(self.webhooks, render)
        self._oauth = oauth.OAuth(self.host, self.faults, expires_in)
        self._git = SmartHTTP(self.host, self._oauth, self.faults, self._refs_changed)
        operations = Operations(self._open, self._update, self._merge, self._decline)
        self.rest = REST(self.host, self._oauth, self.faults, render, operations)
        config = uvicorn.Config(self._app(), log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
        self._server = _QuietServer(config)
        self._serving: asyncio.Task[None] | None = None

    @property
    def api_url(self) -> str:
        return f"{self.url}/2.0"

    @property
    def oauth_url(self) -> str:
        return f"{self.url}{oauth.PATH}"

    async def __aenter__(self) -> Self:
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="bitbucket simulator")
        while not self._server.started:  # noqa: ASYNC110 - uvicorn sets a flag and no event
            await asyncio.sleep(0.005)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.webhooks.close()
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
        self._socket.close()

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route(oauth.PATH, self._oauth.endpoint, methods=["POST"]),
                *self.rest.routes(),
                Route("/_simulator/faults", self._switch, methods=["GET", "POST"]),
                Route("/{path:path}", self._git.endpoint, methods=["GET", "POST"]),
            ]
        )

    async def _switch(self, request: Request) -> Response:
        """See or set the switches: `{"drop_hooks": true, "switched": ["rest-500"]}`."""
        if request.method == "POST":
            for name, value in (await request.json()).items():
                if not hasattr(self.faults, name) or name.startswith("_"):
                    return JSONResponse({"error": f"there is no switch {name}"}, 400)
                setattr(self.faults, name, set(value) if name == "switched" else value)
        shown = {name: sorted(value) if isinstance(value, set) else value for name, value in vars(self.faults).items()}
        return JSONResponse(shown)

    def add_consumer(
        self, key: str, secret: str, scopes: frozenset[str] = frozenset({"repository", "pullrequest", "webhook"})
    ) -> None:
        """An OAuth consumer of the workspace."""
        self.host.consumers[key] = Consumer(key, secret, scopes)

    def add_access_token(self, value: str, scopes: frozenset[str] = frozenset({"repository", "pullrequest"})) -> None:
        """A repository access token, with which people and scripts push and use the API; it does not expire."""
        self.host.tokens[value] = Token(value, scopes, math.inf)

    def add_addon(self, addon_key: str, client_key: str, shared_secret: str) -> None:
        """An installation of a Connect add-on."""
        self.host.addons[addon_key] = Addon(addon_key, client_key, shared_secret)

    def revoke_tokens(self) -> None:
        """Every access token given so far stops working."""
        self.host.tokens.clear()

    def create_repository(self, full_name: str, main_branch: str = "main") -> Repository:
        """An empty repository."""
        repository = Repository(full_name, self._folder / f"{full_name}.git", main_branch)
        plumbing.create(repository.path, main_branch)
        self.host.add(repository)
        return repository

    def delete_repository(self, full_name: str) -> None:
        """Gone, with its Git data; pull requests from it have no source any more."""
        gone = self.repository(full_name)
        del self.host.repositories[full_name.casefold()]
        shutil.rmtree(gone.path)
        for repository in self.host.repositories.values():
            for pull in repository.pulls.values():
                if pull.source is gone:
                    pull.source = None

    def repository(self, full_name: str) -> Repository:
        found = self.host.find(full_name)
        if found is None:
            raise KeyError(full_name)
        return found

    async def fork(self, full_name: str, new_name: str) -> Repository:
        """A copy under another name, as a stranger makes it."""
        parent = self.repository(full_name)
        repository = Repository(new_name, self._folder / f"{new_name}.git", parent.main_branch, parent)
        await asyncio.to_thread(plumbing.clone, parent.path, repository.path)
        repository.heads, repository.tags = await plumbing.read_refs(repository.path)
        self.host.add(repository)
        return repository

    async def rename_repository(self, full_name: str, new_name: str) -> None:
        """The old name redirects from now on."""
        repository = self.repository(full_name)
        del self.host.repositories[full_name.casefold()]
        self.host.renamed[full_name.casefold()] = new_name
        repository.full_name = new_name
        self.host.add(repository)
        self._events.updated(repository, full_name)

    async def set_default_branch(self, full_name: str, branch: str) -> None:
        """The host's own setting, and where HEAD points."""
        repository = self.repository(full_name)
        repository.main_branch = branch
        await plumbing.git(repository.path, "symbolic-ref", "HEAD", f"refs/heads/{branch}")

    async def commit(
        self,
        full_name: str,
        branch: str,
        files: Mapping[str, str | bytes],
        message: str = "Change",
        *,
        parent: str | None = None,
    ) -> str:
        """A commit on a branch; `parent` names the branch that a new one starts from. Its full hash."""
        repository = self.repository(full_name)
        start = repository.heads.get(branch) or (repository.heads[parent] if parent else None)
        made = await plumbing.commit_files(repository.path, branch, files, message, start)
        await self._refs_changed(repository)
        return made

    async def update_refs(self, full_name: str, updates: Mapping[str, str | None]) -> None:
        """Set or delete (None) any number of branches in one push."""
        lines = [
            f"update refs/heads/{name} {commit}\n" if commit else f"delete refs/heads/{name}\n"
            for name, commit in updates.items()
        ]
        repository = self.repository(full_name)
        await plumbing.git(repository.path, "update-ref", "--stdin", stdin="".join(lines).encode())
        await self._refs_changed(repository)

    async def delete_branch(self, full_name: str, branch: str) -> None:
        await self.update_refs(full_name, {branch: None})

    async def open_pull(
        self,
        full_name: str,
        *,
        source: str,
        target: str,
        title: str = "",
        source_repository: str | None = None,
    ) -> int:
        """A pull request; its number."""
        body: JSON = {
            "title": title or f"Merge {source}",
            "source": {"branch": {"name": source}, "repository": {"full_name": source_repository or full_name}},
            "destination": {"branch": {"name": target}},
        }
        return (await self._open(self.repository(full_name), body)).number

    async def update_pull(
        self, full_name: str, number: int, *, target: str | None = None, title: str | None = None
    ) -> None:
        """Another target or title."""
        body: JSON = {"title": title} if title is not None else {}
        if target is not None:
            body["destination"] = {"branch": {"name": target}}
        repository = self.repository(full_name)
        await self._update(repository, repository.pulls[number], body)

    async def merge_pull(self, full_name: str, number: int) -> None:
        """Raises `plumbing.GitError` when it conflicts."""
        repository = self.repository(full_name)
        await self._merge(repository, repository.pulls[number], {})

    async def decline_pull(self, full_name: str, number: int) -> None:
        repository = self.repository(full_name)
        await self._decline(repository, repository.pulls[number], {})

    def head(self, full_name: str, branch: str) -> str:
        return self.repository(full_name).heads[branch]

    def branches(self, full_name: str) -> list[str]:
        return sorted(self.repository(full_name).heads)

    def open_pulls(self, full_name: str) -> list[int]:
        pulls = self.repository(full_name).pulls.values()
        return sorted(pull.number for pull in pulls if pull.state == "OPEN")

    def statuses(self, full_name: str, commit: str) -> list[dict[str, Any]]:
        """The build statuses of a commit, oldest first."""
        return list(self.repository(full_name).statuses.get(commit, {}).values())

    def hooks(self, full_name: str) -> list[JSON]:
        """The webhooks of a repository, as the API shows them."""
        repository = self.repository(full_name)
        return [Renderer(self.url).hook(repository, hook) for hook in repository.hooks.values()]

    def hook_secrets(self, full_name: str) -> list[str]:
        return [hook.secret for hook in self.repository(full_name).hooks.values() if hook.secret]

    def issued_tokens(self) -> list[str]:
        return list(self.host.tokens)

    async def _open(self, repository: Repository, body: JSON) -> Pull:
        source = body.get("source") or {}
        wanted = (source.get("repository") or {}).get("full_name") or repository.full_name
        origin, branch = self.host.find(wanted), (source.get("branch") or {}).get("name")
        target = ((body.get("destination") or {}).get("branch") or {}).get("name") or repository.main_branch
        if origin is None or branch not in origin.heads or target not in repository.heads or not body.get("title"):
            raise RefusedError(400, "title, source.branch and destination.branch must be given and exist")
        pull = Pull(repository.pull_number(), str(body["title"]), origin, branch, target, draft=bool(body.get("draft")))
        repository.pulls[pull.number] = pull
        self._events.pull(repository, pull, "created")
        return pull

    async def _update(self, repository: Repository, pull: Pull, body: JSON) -> None:
        target = ((body.get("destination") or {}).get("branch") or {}).get("name", pull.target_branch)
        if target not in repository.heads:
            raise RefusedError(400, f"destination.branch {target} does not exist")
        pull.target_branch, pull.title = target, str(body.get("title", pull.title))
        pull.draft, pull.updated_on = bool(body.get("draft", pull.draft)), timestamp()
        self._events.pull(repository, pull, "updated")

    async def _merge(self, repository: Repository, pull: Pull, body: JSON) -> None:
        head, target = pull.head, repository.heads.get(pull.target_branch)
        if head is None or target is None or pull.source is None:
            raise RefusedError(400, "The source or the destination of the pull request is gone.")
        if pull.source is not repository:
            await plumbing.git(repository.path, "fetch", "--quiet", str(pull.source.path), head)
        message = str(body.get("message") or f"Merged in {pull.source_branch} (pull request #{pull.number})")
        made = await plumbing.merge(repository.path, target, head, message)
        await plumbing.git(repository.path, "update-ref", f"refs/heads/{pull.target_branch}", made, target)
        pull.state, pull.frozen_head, pull.merge_commit, pull.updated_on = "MERGED", head, made, timestamp()
        await self._refs_changed(repository, tells_pulls=False)
        self._events.pull(repository, pull, "fulfilled")

    async def _decline(self, repository: Repository, pull: Pull, _body: JSON) -> None:
        pull.frozen_head, pull.state, pull.updated_on = pull.head, "DECLINED", timestamp()
        self._events.pull(repository, pull, "rejected")

    async def _refs_changed(self, repository: Repository, *, tells_pulls: bool = True) -> None:
        """What the host does after a push: one event for all of it, and pull requests follow their branches.

        Where their source moved by the merge of another pull request, the real host sends no event for them.
        """
        before_heads, before_tags = repository.heads, repository.tags
        repository.heads, repository.tags = await plumbing.read_refs(repository.path)
        await self._events.pushed(repository, before_heads, before_tags)
        moved = {name for name, commit in repository.heads.items() if before_heads.get(name, commit) != commit}
        for target in self.host.repositories.values():
            for pull in target.pulls.values():
                if pull.state == "OPEN" and pull.source is repository and pull.source_branch in moved:
                    pull.updated_on = timestamp()
                    if tells_pulls:
                        self._events.pull(target, pull, "updated")
