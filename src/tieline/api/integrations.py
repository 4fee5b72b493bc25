"""Integrations: created, changed, validated and removed; their hot reads are in `reads`, incoming hooks in `hooks`."""

import asyncio
import secrets
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from typing import Final

import structlog
from fastapi import APIRouter
from starlette.responses import Response

from tieline.api.bodies import Body, parse
from tieline.api.description.documented import documented
from tieline.api.gate import Access, Admin, known_id
from tieline.api.inputs import IntegrationSync
from tieline.api.outputs import Integration as IntegrationDocument
from tieline.api.outputs import Removed, Validated
from tieline.api.responses import accepted, done
from tieline.api.rooms import InRooms, Rooms
from tieline.api.shelf import HOOK_SECRET
from tieline.core import kinds
from tieline.core.documents import JSON, Activity, Integration, Project
from tieline.core.errors import EgressRefused, Invalid, RemoteError
from tieline.core.ids import new_id
from tieline.core.lines import parse_lines
from tieline.core.redact import Redactor
from tieline.core.secret import Secret
from tieline.integrations.base import Findings, IntegrationType, Registry
from tieline.integrations.fields import (
    MESSAGE,
    RETIRED_FOR,
    called_urls,
    render_config,
    validate_create,
    validate_patch,
)
from tieline.integrations.fields import Accepted as Fields
from tieline.store import activities, due, fetches, integrations, projects, records, variables
from tieline.store.database import Connection

log = structlog.get_logger()
router = APIRouter(tags=["Third-Party Integrations"])

LISTED: Final = "/projects/{project_id}/integrations"
ONE: Final = LISTED + "/{integration_id}"
_MISSING: Final = "Integration not found"
_VALIDATION_SECONDS: Final = 25
_HOOK_SECRET_BYTES: Final = 32
# What is remembered of a repository, or of what its listings said, is nothing to go by for another one.
_FORGOTTEN: Final = {
    "remote_id": None,
    "remote_default_branch": None,
    "hook_id": None,
    "hook_checked_at": None,
    "signed_hook_seen": False,
    "prune_hold": None,
    "last_error": None,
}


@router.post(LISTED, status_code=201)
@documented(accepted=IntegrationDocument)
async def create_integration(access: Admin, rooms: InRooms, body: Body) -> Response:
    """Create an integration. A Git source answers with the activities of its first synchronisation, pending."""
    kind = type_of(rooms.services.registry, body)
    given = validate_create(kind.fields, body)
    _check_urls(rooms, kind, given)
    integration = _new(rooms, access, kind, given)
    async with rooms.services.db.transaction() as conn:
        project = await projects.get(conn, access.project_id, lock=True)
        if kind.is_git_source:
            await _refuse_second_source(conn, rooms, project)
        await integrations.create(
            conn, rooms.services.box, integration, is_git_source=kind.is_git_source, is_sink=kind.sink is not None
        )
        started = await _start(conn, kind, project, integration, access)
    rooms.shelves.drop(access.project_id)
    if not kind.acts:
        log.warning("integration does not act yet", type=kind.key, id=integration.id, reason=kind.not_yet)
    return _accepted(rooms, integration, started, status=HTTPStatus.CREATED)


def type_of(registry: Registry, body: JSON) -> IntegrationType:
    """The type that a body names. Raises `Invalid`."""
    named = body.get("type")
    if named is None:
        raise Invalid({"type": "This field is required."}, MESSAGE)
    if not isinstance(named, str) or named not in registry:
        known = ", ".join(each.key for each in registry)
        raise Invalid({"type": f"There is no integration type {str(named)[:50]!r}. There are: {known}."}, MESSAGE)
    return registry[named]


def _new(rooms: Rooms, access: Access, kind: IntegrationType, given: Fields) -> Integration:
    moment = rooms.services.now()
    hook = {HOOK_SECRET: _new_hook_secret()} if kind.hook_format else {}
    look = timedelta(seconds=rooms.services.reconcile_seconds)
    return Integration(
        id=new_id(),
        project_id=access.project_id,
        type=kind.key,
        config=given.config,
        created_at=moment,
        updated_at=None,
        secrets={**given.kept, **hook},
        next_reconcile_at=moment + look if kind.is_followed else None,
    )


def _new_hook_secret() -> Secret:
    return Secret(secrets.token_hex(_HOOK_SECRET_BYTES))


async def _refuse_second_source(conn: Connection, rooms: Rooms, project: Project) -> None:
    present = await integrations.git_source_id(conn, project.id)
    if present is None:
        return
    source = await integrations.get(conn, rooms.services.box, project.id, present)
    title = rooms.services.registry[source.type].title
    sentence = f"This project follows a {title} repository already (integration {source.id}); remove that first."
    raise Invalid({"type": sentence}, MESSAGE)


def _check_urls(rooms: Rooms, kind: IntegrationType, given: Fields) -> None:
    for name, url in called_urls(kind.fields, render_config(kind.fields, given.config, given.kept)):
        try:
            rooms.services.check_url(url)
        except EgressRefused as error:
            raise Invalid({name: str(error)}, MESSAGE) from error


async def _start(
    conn: Connection, kind: IntegrationType, project: Project, integration: Integration, access: Access
) -> list[Activity]:
    """The first activities of an integration."""
    started = []
    if kind.hook_registrar is not None:
        started.append(await _register(conn, kind, project, integration, access))
    if kind.is_followed:
        actor = access.caller.actor
        started.append(await fetches.request_fetch(conn, project, integration, actor, kind.title, reason="created"))
    return started


async def _register(
    conn: Connection, kind: IntegrationType, project: Project, integration: Integration, access: Access
) -> Activity:
    """The activity that puts our webhook at the host; one that waits will do."""
    new = kinds.register_hooks(project, integration, kind.title, access.caller.actor)
    waiting = await activities.pending_of(conn, kinds.integration_key(integration.id), new.type)
    return waiting or await activities.create(conn, new)


@dataclass(frozen=True)
class Change:
    """What a PATCH makes of an integration."""

    kind: IntegrationType
    present: Integration
    given: Fields

    @property
    def secrets(self) -> dict[str, Secret | None]:
        """Those that differ; None forgets one."""
        present = self.present.secrets
        return {name: value for name, value in self.given.secrets.items() if present.get(name) != value}

    @property
    def config(self) -> JSON:
        return self.given.config

    @property
    def moves(self) -> bool:
        """Whether it leads to another repository."""
        return self.kind.is_followed and self.config.get("repository") != self.present.config.get("repository")

    @property
    def needs_registration(self) -> bool:
        """Whether the hook should be put at the host again: another repository, or other credentials."""
        credentials = {name for name in self.config if name.endswith("credentials")}
        changed = any(self.config.get(name) != self.present.config.get(name) for name in credentials)
        return self.kind.hook_registrar is not None and (self.moves or changed or bool(self.secrets))


@router.patch(ONE)
@documented(accepted=IntegrationDocument)
async def patch_integration(access: Admin, rooms: InRooms, integration_id: str, body: Body) -> Response:
    """Change an integration; only the fields that are sent. A Git source synchronises when something did change."""
    box = rooms.services.box
    async with rooms.services.db.transaction() as conn:
        project = await projects.get(conn, access.project_id)
        present = await _load(conn, rooms, access, integration_id, lock=True)
        change = plan_change(rooms.services.registry, present, body)
        _check_urls(rooms, change.kind, change.given)
        if change.given.changed:
            await _apply(conn, rooms, change)
        changed = await integrations.get(conn, box, project.id, present.id)
        started = await _follow(conn, change, project, changed, access) if change.given.changed else []
    rooms.shelves.drop(access.project_id)
    return _accepted(rooms, changed, started)


def plan_change(registry: Registry, present: Integration, body: JSON) -> Change:
    """What a body changes. Raises `Invalid`, also when it names another type."""
    kind = registry[present.type]
    given = validate_patch(kind.fields, present.type, present.config, present.secrets, body)
    return Change(kind, present, given)


async def _apply(conn: Connection, rooms: Rooms, change: Change) -> None:
    # The hook that stays behind at the old repository must not speak for the new one.
    renewed = {HOOK_SECRET: _new_hook_secret()} if change.moves and change.kind.hook_format else {}
    secrets = {**change.secrets, **renewed}
    await integrations.update(conn, rooms.services.box, change.present, config=change.config, secrets=secrets)
    await integrations.retire(conn, rooms.services.box, change.present.id, change.given.retired, RETIRED_FOR)
    if change.moves:
        await _leave_hook_behind(conn, rooms, change.present)
        await integrations.save_state(conn, change.present.id, **_FORGOTTEN)


async def _leave_hook_behind(conn: Connection, rooms: Rooms, present: Integration) -> None:
    """The hook at the repository that is followed no more goes like that of a removed integration."""
    if present.hook_id is not None:
        left = new_id()
        await integrations.leave_behind(conn, rooms.services.box, present, left)
        await due.wake_removal(conn, left)


async def _follow(
    conn: Connection, change: Change, project: Project, changed: Integration, access: Access
) -> list[Activity]:
    """The activities that a change sets off."""
    started = []
    if change.needs_registration:
        started.append(await _register(conn, change.kind, project, changed, access))
    if change.kind.is_followed:
        actor, title = access.caller.actor, change.kind.title
        started.append(await fetches.request_fetch(conn, project, changed, actor, title, reason="updated"))
    return started


async def _load(
    conn: Connection,
    rooms: Rooms,
    access: Access,
    integration_id: str,
    *,
    lock: bool = False,
) -> Integration:
    wanted = known_id(integration_id, _MISSING)
    return await integrations.get(conn, rooms.services.box, access.project_id, wanted, lock=lock)


@router.delete(ONE)
@documented(answer=Removed)
async def delete_integration(access: Admin, rooms: InRooms, integration_id: str) -> Response:
    """Remove an integration: hidden at once, its hook at the host removed after that. Environments stay."""
    async with rooms.services.db.transaction() as conn:
        present = await _load(conn, rooms, access, integration_id, lock=True)
        await integrations.mark_deleted(conn, present)
        await due.wake_removal(conn, present.id)
    rooms.shelves.drop(access.project_id)
    return accepted()


@router.post(ONE + "/validate")
@documented(
    answer=Validated,
    basis="observed",
    note="The vendor's clients follow its link; the path is the one that its guides show.",
)
async def validate_integration(access: Admin, rooms: InRooms, integration_id: str) -> Response:
    """Ask the outside service whether the integration can work; 400 says what is missing and how to get it.

    Where the type does not act yet nobody is asked: 200 says that what is stored is well-formed, and nothing more.
    """
    async with rooms.services.db.connection() as conn:
        present = await _load(conn, rooms, access, integration_id)
    findings = await _ask_outside(rooms, present)
    kind = rooms.services.registry[present.type]
    if kind.sink is not None and kind.validator is not None:
        await _record(rooms, access, present, kind, findings)
    if findings.problems:
        raise Invalid(findings.problems, MESSAGE)
    return done(_warned(findings.warnings))


async def _ask_outside(rooms: Rooms, integration: Integration) -> Findings:
    registry = rooms.services.registry
    validator, warnings = registry.validator(integration), registry.warnings(integration)
    if validator is None:
        return Findings(warnings=warnings)
    try:
        async with asyncio.timeout(_VALIDATION_SECONDS):
            found = await validator.validate(rooms.writer.hook_url(integration))
    except TimeoutError:
        return Findings({"": f"There was no answer within {_VALIDATION_SECONDS} seconds."}, warnings)
    except RemoteError as error:
        return Findings({"": str(error)}, warnings)
    return replace(found, warnings=warnings | found.warnings)


async def _record(
    rooms: Rooms, access: Access, integration: Integration, kind: IntegrationType, findings: Findings
) -> None:
    """What was found stands among the integration's deliveries."""
    services, moment = rooms.services, rooms.services.now()
    async with services.db.transaction() as conn:
        known = await variables.load_all(conn, services.box, integration.id)
        redactor = Redactor(services.registry.secret_texts(integration, known))
        lines = [(moment, line) for text in _told(findings) for line in parse_lines(redactor.text(text))]
        project = await projects.get(conn, integration.project_id)
        new = kinds.integration_validated(project, integration, kind.title, access.caller.actor)
        await records.add(conn, new, "failure" if findings.problems else "success", lines)


def _told(findings: Findings) -> list[str]:
    """What the log of a validation says."""
    problems = [f"{name}: {sentence}" if name else sentence for name, sentence in findings.problems.items()]
    warnings = [f"Warning: {name}: {sentence}" for name, sentence in findings.warnings.items()]
    return [*findings.log, *warnings, *(problems or ["The integration can work."])]


def _warned(warnings: dict[str, str]) -> JSON:
    return {"warnings": warnings} if warnings else {}


@router.post(ONE + "/sync")
@documented(
    accepted=IntegrationDocument,
    body=IntegrationSync,
    required=False,
    basis="added",
    note="Reads the Git host without waiting for a hook or the timer.",
)
async def sync_integration(access: Admin, rooms: InRooms, integration_id: str, body: Body) -> Response:
    """Read the Git host now. `confirm_prune` also does the removals that were held back."""
    given = parse(IntegrationSync, body)
    async with rooms.services.db.transaction() as conn:
        project = await projects.get(conn, access.project_id)
        present = await _load(conn, rooms, access, integration_id)
        kind = rooms.services.registry[present.type]
        if not kind.is_followed:
            sentence = kind.not_yet or "It follows no Git host."
            raise Invalid({"type": f"An integration of the type {kind.key} has nothing to synchronise. {sentence}"})
        requested = await fetches.request_fetch(
            conn,
            project,
            present,
            access.caller.actor,
            kind.title,
            reason="requested",
            confirm_prune=given.confirm_prune,
        )
        activity = await activities.get(conn, project.id, requested.id)
    return _accepted(rooms, present, [activity])


def _accepted(
    rooms: Rooms, integration: Integration, started: list[Activity], *, status: HTTPStatus = HTTPStatus.OK
) -> Response:
    shown = [rooms.writer.activity(each, is_admin=True) for each in started]
    more = _warned(rooms.services.registry.warnings(integration))
    return accepted(rooms.writer.integration(integration), shown, status=status, more=more)
