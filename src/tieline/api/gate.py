"""Who is calling, and what they may do. The same answers serve the plain routes and FastAPI's."""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends
from starlette.requests import Request

from tieline.api.memory import Memory
from tieline.api.services import Services
from tieline.api.tokens import AccessToken, TokenMint
from tieline.core.documents import Account, Actor, Organization, Role
from tieline.core.errors import Forbidden, NotFound, Unauthenticated
from tieline.core.secret import Secret
from tieline.store import accounts, oauth_tokens, organizations
from tieline.store.database import Connection
from tieline.store.organizations import Seen

REMEMBERED: Final = 20_000
RENEWED_SECONDS: Final = 3600
LONGEST_TOKEN: Final = 4096
_LONGEST_ID: Final = 64
_FOREVER: Final = float("inf")
_NO_USER: Final = "User not found"
_NO_ORGANIZATION: Final = "Organization not found"


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated account, the tokens that it is by, and until when: seconds since the epoch.

    From `renewed` on the token is looked up again, to note that it is in use.
    """

    account: Account
    token_ids: tuple[str, ...]
    expires: float
    renewed: float

    @property
    def id(self) -> str:
        return self.account.id

    @property
    def actor(self) -> Actor:
        account = self.account
        return Actor(account.id, account.display_name, account.created_at, account.updated_at)


@dataclass(frozen=True, slots=True)
class Own:
    """A caller, and the user that it may act for: itself, or anybody for operators."""

    caller: Caller
    user_id: str


@dataclass(frozen=True, slots=True)
class Membership:
    """A caller and an organization that it may see."""

    caller: Caller
    seen: Seen

    @property
    def organization(self) -> Organization:
        return self.seen.organization


@dataclass(frozen=True, slots=True)
class Access:
    """A caller in a project that it may see."""

    caller: Caller
    project_id: str
    role: Role

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"


class Gate:
    """Authenticates tokens and decides on access; both from memory where it can be trusted."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.mint = TokenMint(services.token_keys)
        listener = services.listener
        self._callers: Memory[bytes, Caller] = Memory(REMEMBERED, lambda: listener.connected)
        self._roles: Memory[tuple[str, str], Role | None] = Memory(REMEMBERED, lambda: listener.connected)
        listener.subscribe("token", self._callers.drop)
        listener.subscribe("access", self.forget_account)
        listener.on_gap(self._callers.clear)
        listener.on_gap(self._roles.clear)

    def forget_account(self, account_id: str) -> None:
        """Decide anew about an account: who it is or what it may do has changed."""
        self._callers.drop(account_id)
        self._roles.drop(account_id)

    def forget_token(self, token_id: str) -> None:
        """Look a token up again: it may be gone."""
        self._callers.drop(token_id)

    async def identify(self, authorization: bytes | None) -> Caller:
        """Who sent this `Authorization` header. Raises `Unauthenticated`."""
        caller = await self._find_caller(authorization)
        if caller.expires <= self._services.now().timestamp():
            raise Unauthenticated("The access token has expired.")
        return caller

    async def _find_caller(self, authorization: bytes | None) -> Caller:
        """Whose token it is, which may have expired since it was first seen."""
        scheme, _, token = (authorization or b"").strip().partition(b" ")
        token = token.strip()
        if scheme.lower() != b"bearer" or not token:
            raise Unauthenticated("This needs the header Authorization: Bearer, with an access token or an API token.")
        if len(token) > LONGEST_TOKEN:
            raise Unauthenticated("The access token is invalid.")
        # What is remembered must not be of use to whoever reads this process's memory.
        key = hashlib.sha256(token).digest()
        caller = self._callers.peek(key)
        if caller is not None and caller.renewed <= self._services.now().timestamp():
            self._callers.drop(caller.token_ids[0])
            caller = None
        return caller or await self._callers.read(key, lambda: self._load(token), _groups_of_caller)

    async def _load(self, token: bytes) -> Caller:
        now = self._services.now().timestamp()
        access = self.mint.read(token, now)
        async with self._services.db.connection() as conn:
            if access is not None:
                found = await _find_bearer_by(conn, access)
            else:
                found = await _find_bearer_with(conn, Secret(token.decode("utf-8", "surrogateescape")))
        if found is None:
            raise Unauthenticated("The access token is invalid or has expired.")
        end = found.expires_at.timestamp() if found.expires_at else _FOREVER
        if access is None:
            return Caller(found.account, (found.token_id,), end, now + RENEWED_SECONDS)
        ids = (found.token_id, access.id, *([access.refresh_token_id] if access.refresh_token_id else []))
        return Caller(found.account, ids, min(end, access.expires), _FOREVER)

    async def admit(self, authorization: bytes | None, project_id: str, needed: Role) -> Access:
        """Let a caller into a project. Raises `Unauthenticated`, `NotFound` for strangers, `Forbidden` for viewers."""
        caller = await self.identify(authorization)
        role = await self.role(caller, project_id)
        if role is None:
            raise NotFound("Project not found")
        if needed == "admin" and role != "admin":
            raise Forbidden("This needs the role admin on the project; yours is viewer.")
        return Access(caller, project_id, role)

    async def admit_to_organization(self, authorization: bytes | None, named: str, needed: Role) -> Membership:
        """Let a caller look at an organization, named by its id or as `name=...`. Raises as `admit` does."""
        caller = await self.identify(authorization)
        wanted = known_id(named.removeprefix("name="), _NO_ORGANIZATION)
        async with self._services.db.connection() as conn:
            seen = await organizations.find_seen(conn, caller.id, wanted)
        if seen is None:
            raise NotFound(_NO_ORGANIZATION)
        if needed == "admin" and seen.role != "admin":
            raise Forbidden("This needs an admin of the organization.")
        return Membership(caller, seen)

    async def find_user(self, named: str) -> str:
        """The id of a user who is named by it, or as `username=...` or `email=...`. Raises `NotFound`."""
        key, _, value = named.rpartition("=")
        if not key:
            return known_id(named, _NO_USER)
        if key not in ("username", "email") or "\0" in value:
            raise NotFound(_NO_USER)
        async with self._services.db.connection() as conn:
            found = await accounts.find_named(conn, key, value)
        if found is None:
            raise NotFound(_NO_USER)
        return found

    async def still_admits(self, authorization: bytes | None, access: Access) -> bool:
        """Whether neither the token nor the role, with which a long answer began, was taken away since.

        That an access token expires meanwhile is no reason to break off.
        """
        try:
            caller = await self._find_caller(authorization)
        except Unauthenticated:
            return False
        return await self.role(caller, access.project_id) in (access.role, "admin")

    async def role(self, caller: Caller, project_id: str) -> Role | None:
        """What the caller may do in a project; None when it may not know of it."""
        key = (caller.id, project_id)
        remembered = self._roles.peek(key)
        if remembered is not None or not is_id(project_id):
            return remembered
        # That somebody is a stranger is not remembered: made-up projects would push out what is of use.
        groups = (caller.id,)
        return await self._roles.read(key, lambda: self._load_role(key), lambda role: groups if role else (), caller.id)

    async def _load_role(self, key: tuple[str, str]) -> Role | None:
        async with self._services.db.connection() as conn:
            return await accounts.find_role(conn, *key)


async def _find_bearer_with(conn: Connection, api_token: Secret) -> accounts.Bearer | None:
    found = await accounts.find_bearer(conn, api_token)
    if found is not None:
        await accounts.touch_token(conn, found.token_id)
    return found


async def _find_bearer_by(conn: Connection, access: AccessToken) -> accounts.Bearer | None:
    if await oauth_tokens.is_revoked(conn, access.id, access.refresh_token_id):
        return None
    return await accounts.find_bearer_of(conn, access.api_token_id, access.account_id)


def _groups_of_caller(caller: Caller) -> tuple[str, ...]:
    return (*caller.token_ids, caller.id)


def is_id(text: str) -> bool:
    """Whether this can be the id of anything here: what cannot be never reaches the database."""
    return len(text) <= _LONGEST_ID and text.isascii() and text.replace("-", "").isalnum()


def known_id(text: str, missing: str) -> str:
    """The id itself. Raises `NotFound(missing)` for what cannot be one."""
    if not is_id(text):
        raise NotFound(missing)
    return text


def authorization_of(request: Request) -> bytes | None:
    """The raw header."""
    return next((value for name, value in request.scope["headers"] if name == b"authorization"), None)


def _gate(request: Request) -> Gate:
    gate = request.app.state.rooms.gate
    assert isinstance(gate, Gate)  # noqa: S101 - application.py puts it there
    return gate


async def caller(request: Request) -> Caller:
    """The authenticated caller."""
    return await _gate(request).identify(authorization_of(request))


async def operator(request: Request) -> Caller:
    """A caller who administers the server."""
    found = await caller(request)
    if not found.account.is_operator:
        raise Forbidden("This needs an operator of the server.")
    return found


async def own_account(request: Request, user_id: str) -> Own:
    """A caller and a user that it may act for, who is named by id, or as `me`, `username=...` or `email=...`.

    Others' accounts answer like missing ones.
    """
    found = await caller(request)
    if user_id in ("me", f"username={found.account.username}", f"email={found.account.email}"):
        return Own(found, found.id)
    if not found.account.is_operator:
        return Own(found, _same(found.id, user_id))
    return Own(found, await _gate(request).find_user(user_id))


def _same(own: str, asked: str) -> str:
    if asked != own:
        raise NotFound(_NO_USER)
    return own


async def organization_viewer(request: Request, organization_id: str) -> Membership:
    """A caller who may see the organization."""
    return await _gate(request).admit_to_organization(authorization_of(request), organization_id, "viewer")


async def organization_admin(request: Request, organization_id: str) -> Membership:
    """A caller who may change the organization."""
    return await _gate(request).admit_to_organization(authorization_of(request), organization_id, "admin")


async def viewer(request: Request, project_id: str) -> Access:
    """A caller who may see the project."""
    return await _gate(request).admit(authorization_of(request), project_id, "viewer")


async def admin(request: Request, project_id: str) -> Access:
    """A caller who may change the project."""
    return await _gate(request).admit(authorization_of(request), project_id, "admin")


AnyCaller = Annotated[Caller, Depends(caller)]
Operator = Annotated[Caller, Depends(operator)]
OwnAccount = Annotated[Own, Depends(own_account)]
OrganizationViewer = Annotated[Membership, Depends(organization_viewer)]
OrganizationAdmin = Annotated[Membership, Depends(organization_admin)]
Viewer = Annotated[Access, Depends(viewer)]
Admin = Annotated[Access, Depends(admin)]
