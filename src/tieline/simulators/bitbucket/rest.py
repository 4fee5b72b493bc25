"""The REST API 2.0, as far as integrations need it."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tieline.simulators.bitbucket.faults import Faults
from tieline.simulators.bitbucket.oauth import OAuth
from tieline.simulators.bitbucket.payloads import JSON, Renderer, error, pick_fields
from tieline.simulators.bitbucket.plumbing import GitError, git
from tieline.simulators.bitbucket.smart_http import MAINTENANCE
from tieline.simulators.bitbucket.state import Hook, Host, Pull, Repository

LONGEST_KEY: Final = 40
LONGEST_PAGE: Final = 50
STATES: Final = ("INPROGRESS", "SUCCESSFUL", "FAILED", "STOPPED")
KNOWN_EVENTS: Final = frozenset(
    ["repo:push", "repo:fork", "repo:updated", "repo:transfer", "repo:deleted", "repo:imported"]
    + ["repo:commit_comment_created", "repo:commit_status_created", "repo:commit_status_updated"]
    + [f"pullrequest:{name}" for name in ("created", "updated", "push", "approved", "unapproved", "fulfilled")]
    + [f"pullrequest:{name}" for name in ("rejected", "comment_created", "comment_updated", "comment_deleted")]
    + [f"issue:{name}" for name in ("created", "updated", "comment_created")]
)
_INTERNAL: Final = re.compile(r"localhost|127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|\[?::1")
Operation = Callable[[Repository, Pull, JSON], Awaitable[None]]
Handler = Callable[[Request, Repository], Awaitable[Response]]


class RefusedError(Exception):
    """An error answer."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.response = JSONResponse(error(message, **more), status)


@dataclass
class Operations:
    """What requests cause beyond their own answer: pull requests that open and end, with their webhooks."""

    open_pull: Callable[[Repository, JSON], Awaitable[Pull]]
    update_pull: Operation
    merge_pull: Operation
    decline_pull: Operation


@dataclass
class REST:
    """Answers `/2.0/...`. `requests` counts what was asked: method and path, never a token."""

    host: Host
    oauth: OAuth
    faults: Faults
    render: Renderer
    operations: Operations
    requests: list[tuple[str, str]] = field(default_factory=list)

    def routes(self) -> list[Route]:
        base = "/2.0/repositories/{workspace}/{slug}"
        table: list[tuple[str, str, str, Handler]] = [
            ("GET", "", "repository", self.get_repository),
            ("GET", "/refs/branches", "repository", self.list_branches),
            ("GET", "/pullrequests", "pullrequest", self.list_pulls),
            ("POST", "/pullrequests", "pullrequest", self.create_pull),
            ("GET", "/pullrequests/{number:int}", "pullrequest", self.get_pull),
            ("PUT", "/pullrequests/{number:int}", "pullrequest", self.change_pull),
            ("POST", "/pullrequests/{number:int}/merge", "pullrequest", self.merge_pull),
            ("POST", "/pullrequests/{number:int}/decline", "pullrequest", self.decline_pull),
            ("GET", "/hooks", "webhook", self.list_hooks),
            ("POST", "/hooks", "webhook", self.create_hook),
            ("GET", "/hooks/{uuid}", "webhook", self.get_hook),
            ("PUT", "/hooks/{uuid}", "webhook", self.change_hook),
            ("DELETE", "/hooks/{uuid}", "webhook", self.delete_hook),
            ("GET", "/commit/{commit}/statuses", "repository", self.list_statuses),
            ("POST", "/commit/{commit}/statuses/build", "repository", self.set_status),
            ("PUT", "/commit/{commit}/statuses/build/{key}", "repository", self.set_status),
        ]
        return [
            Route(base + path, self._guard(scope, handler), methods=[method]) for method, path, scope, handler in table
        ]

    def _guard(self, scope: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """Faults, limits, authentication and the repository, before anything else."""

        async def endpoint(request: Request) -> Response:
            self.requests.append((request.method, request.url.path))
            if self.faults.latency:
                await asyncio.sleep(self.faults.latency)
            if (broken := self._broken(request)) is not None:
                return broken
            try:
                self._authenticate(request, scope)
                return _shorten(request, await handler(request, self._repository(request)))
            except RefusedError as refused:
                return refused.response
            except _MovedError as moved:
                return RedirectResponse(moved.location, 301)

        return endpoint

    def _broken(self, request: Request) -> Response | None:
        if self.faults.rate_limit is not None and len(self.requests) > self.faults.rate_limit:
            return JSONResponse(error("Rate limit for this resource has been exceeded"), 429)
        name = self.faults.find("rest-")
        if name is None and request.query_params.get("page", "1") != "1":
            name = self.faults.find("page-2-")
        if name in ("500", "502", "503", "403", "404", "429"):
            return JSONResponse(error("Something went wrong"), int(name))
        match name:
            case "html":
                return HTMLResponse(MAINTENANCE)
            case "truncated":
                return Response(b'{"pagelen": 50, "values": [{"id": 1, "titl', media_type="application/json")
            case "no-values":
                return JSONResponse({"pagelen": 50, "page": 1})
            case "values-null":
                return JSONResponse({"pagelen": 50, "page": 1, "size": 0, "values": None})
            case "redirect" | "elsewhere":
                return RedirectResponse("http://localhost:9/2.0/elsewhere", 302)
            case "closed":
                return Response(b"{", headers={"content-length": "5000", "content-type": "application/json"})
        return None

    def _authenticate(self, request: Request, scope: str) -> None:
        header = request.headers.get("authorization", "")
        token = self.oauth.find(header) if header.startswith("Bearer ") else None
        if token is None:
            raise RefusedError(401, "Token is invalid, expired, or not supported for this endpoint.")
        # The right to pull requests includes that to read the repository.
        held = token.scopes | ({"repository"} if "pullrequest" in token.scopes else set())
        if scope not in held:
            detail = {"required": [scope], "granted": sorted(token.scopes)}
            raise RefusedError(403, "Your credentials lack one or more required privilege scopes.", detail=detail)

    def _repository(self, request: Request) -> Repository:
        full_name = f"{request.path_params['workspace']}/{request.path_params['slug']}"
        repository = self.host.find(full_name)
        if repository is None and (moved := self.host.renamed.get(full_name.casefold())) is not None:
            rest = request.url.path.split("/", 5)[5:]
            raise _MovedError("/".join([f"{self.render.url}/2.0/repositories/{moved}", *rest]))
        if repository is None:
            raise RefusedError(404, f"Repository {full_name} not found")
        return repository

    def page(self, request: Request, items: Iterable[JSON], standard: int = 10) -> Response:
        """One page, with an absolute `next` while there is more."""
        listed = list(items)
        length = _number(request, "pagelen", standard)
        if length > LONGEST_PAGE:
            raise RefusedError(400, f"Invalid pagelen: must be at most {LONGEST_PAGE}")
        length = min(length, self.faults.page_length or length)
        if self.faults.find("page-2-"):
            length = min(length, 2)
        number = _number(request, "page", 1)
        start = (number - 1) * length
        body = {"size": len(listed), "pagelen": length, "page": number, "values": listed[start : start + length]}
        if start + length < len(listed):
            query = urlencode({**dict(request.query_params), "page": str(number + 1)})
            root = self.render.url if self.faults.find("page-2-") != "elsewhere" else "http://localhost:9"
            body["next"] = f"{root}{request.url.path}?{query}"
        return JSONResponse(body, headers={"ETag": f'"{hash(str(body)) & 0xFFFFFFFF:x}"'})

    async def get_repository(self, _request: Request, repository: Repository) -> Response:
        return JSONResponse(self.render.repository(repository))

    async def list_branches(self, request: Request, repository: Repository) -> Response:
        targets = ((name, {"type": "commit", "hash": commit}) for name, commit in sorted(repository.heads.items()))
        return self.page(request, [self.render.ref(repository, "branch", name, target) for name, target in targets])

    async def list_pulls(self, request: Request, repository: Repository) -> Response:
        states = request.query_params.getlist("state") or ["OPEN"]
        pulls = () if self.faults.empty_pull_list else repository.pulls.values()
        chosen = [pull for pull in pulls if pull.state in states]
        order = request.query_params.get("sort", "-updated_on")
        names = {"created_on": "created_on", "updated_on": "updated_on", "id": "number"}
        if order.lstrip("-") not in names:
            raise RefusedError(400, f"Invalid field name: {order}")
        chosen.sort(key=lambda pull: getattr(pull, names[order.lstrip("-")]), reverse=order.startswith("-"))
        return self.page(request, [self.render.pull(repository, pull) for pull in chosen])

    async def create_pull(self, request: Request, repository: Repository) -> Response:
        pull = await self.operations.open_pull(repository, await _body(request))
        return JSONResponse(self.render.pull(repository, pull), 201)

    async def get_pull(self, request: Request, repository: Repository) -> Response:
        return JSONResponse(self.render.pull(repository, _pull(request, repository)))

    async def change_pull(self, request: Request, repository: Repository) -> Response:
        return await self._operate(request, repository, self.operations.update_pull)

    async def merge_pull(self, request: Request, repository: Repository) -> Response:
        return await self._operate(request, repository, self.operations.merge_pull)

    async def decline_pull(self, request: Request, repository: Repository) -> Response:
        return await self._operate(request, repository, self.operations.decline_pull)

    async def _operate(self, request: Request, repository: Repository, operation: Operation) -> Response:
        pull = _pull(request, repository)
        if pull.state != "OPEN":
            raise RefusedError(400, "This pull request is already closed.")
        try:
            await operation(repository, pull, await _body(request))
        except GitError as failed:
            raise RefusedError(409, f"The pull request cannot be merged: {failed}") from failed
        return JSONResponse(self.render.pull(repository, pull))

    async def list_hooks(self, request: Request, repository: Repository) -> Response:
        return self.page(request, [self.render.hook(repository, hook) for hook in repository.hooks.values()])

    async def create_hook(self, request: Request, repository: Repository) -> Response:
        body = await _body(request)
        self._check_hook(body)
        hook = Hook(url=body["url"], events=list(body["events"]))
        _apply(hook, body)
        repository.hooks[hook.uuid] = hook
        return JSONResponse(self.render.hook(repository, hook), 201)

    async def get_hook(self, request: Request, repository: Repository) -> Response:
        return JSONResponse(self.render.hook(repository, _hook(request, repository)))

    async def change_hook(self, request: Request, repository: Repository) -> Response:
        hook, body = _hook(request, repository), await _body(request)
        self._check_hook({"url": hook.url, "events": hook.events, **body})
        hook.url, hook.events = body.get("url", hook.url), list(body.get("events", hook.events))
        _apply(hook, body)
        return JSONResponse(self.render.hook(repository, hook))

    async def delete_hook(self, request: Request, repository: Repository) -> Response:
        del repository.hooks[_hook(request, repository).uuid]
        return Response(status_code=204)

    def _check_hook(self, body: JSON) -> None:
        events, url = body.get("events"), str(body.get("url", ""))
        if not isinstance(events, list) or not events:
            raise RefusedError(400, "events: This field is required.", fields={"events": ["This field is required."]})
        if unknown := sorted(set(events) - KNOWN_EVENTS):
            raise RefusedError(
                400, f"events: Unknown event {unknown[0]}", fields={"events": [f"Unknown: {unknown[0]}"]}
            )
        host = urlsplit(url).netloc
        if not host or (self.faults.refuse_internal_hooks and _INTERNAL.match(host)):
            raise RefusedError(400, "url: must properly resolve and cannot be an internal, non-routed address")

    async def list_statuses(self, request: Request, repository: Repository) -> Response:
        commit = await self._commit(request, repository)
        return self.page(request, repository.statuses.get(commit, {}).values())

    async def set_status(self, request: Request, repository: Repository) -> Response:
        commit = await self._commit(request, repository)
        body = {**await _body(request), **({"key": key} if (key := request.path_params.get("key")) else {})}
        for name in ("key", "state", "url"):
            if not isinstance(body.get(name), str) or not body[name]:
                raise RefusedError(400, f"{name}: This field is required.", fields={name: ["This field is required."]})
        if len(body["key"]) > LONGEST_KEY:
            said = f"Ensure this value has at most {LONGEST_KEY} characters (it has {len(body['key'])})."
            raise RefusedError(400, f"key: {said}", fields={"key": [said]})
        if body["state"] not in STATES:
            raise RefusedError(400, f"state: {body['state']} is not one of {', '.join(STATES)}")
        known = repository.statuses.setdefault(commit, {})
        created = body["key"] not in known
        status = {"type": "build", "name": body["key"], "description": "", "refname": None, **body}
        known.pop(body["key"], None)
        known[body["key"]] = {**status, "commit": {"type": "commit", "hash": commit}}
        return JSONResponse(known[body["key"]], 201 if created else 200)

    async def _commit(self, request: Request, repository: Repository) -> str:
        try:
            name = f"{request.path_params['commit']}^{{commit}}"
            return await git(repository.path, "rev-parse", "--verify", "--end-of-options", name)
        except GitError:
            raise RefusedError(404, f"Commit {request.path_params['commit']} not found") from None


def _shorten(request: Request, response: Response) -> Response:
    """Nothing for whoever has it already, and no more than the `fields` that were asked for."""
    tag = response.headers.get("etag")
    if tag is not None and request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    fields = request.query_params.get("fields")
    if fields is None or not isinstance(response, JSONResponse) or response.status_code not in (200, 201):
        return response
    chosen = pick_fields(json.loads(bytes(response.body)), [name.split(".") for name in fields.split(",")])
    return JSONResponse(chosen, response.status_code)


class _MovedError(Exception):
    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.location = location


async def _body(request: Request) -> JSON:
    raw = await request.body()
    if not raw:
        return {}
    try:
        body = await request.json()
    except ValueError:
        raise RefusedError(400, "Bad request: the body is not JSON") from None
    if not isinstance(body, dict):
        raise RefusedError(400, "Bad request: expected an object")
    return body


def _number(request: Request, name: str, standard: int) -> int:
    given = request.query_params.get(name, str(standard))
    if not given.isascii() or not given.isdecimal() or int(given) < 1:
        raise RefusedError(400, f"Invalid {name}")
    return int(given)


def _pull(request: Request, repository: Repository) -> Pull:
    pull = repository.pulls.get(request.path_params["number"])
    if pull is None:
        raise RefusedError(404, "Pull request not found")
    return pull


def _hook(request: Request, repository: Repository) -> Hook:
    hook = repository.hooks.get(request.path_params["uuid"])
    if hook is None:
        raise RefusedError(404, "Webhook not found")
    return hook


def _apply(hook: Hook, body: JSON) -> None:
    """A secret that is not given stays; null or empty clears it."""
    hook.active = bool(body.get("active", hook.active))
    hook.description = str(body.get("description", hook.description))
    if "secret" in body:
        hook.secret = body["secret"] or ""
