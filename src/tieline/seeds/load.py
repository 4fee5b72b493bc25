"""From a seed into a database: in the transaction of the caller, so all of it or nothing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import structlog

from tieline.core.errors import Invalid
from tieline.core.secret import Secret
from tieline.integrations.base import Registry
from tieline.seeds.problems import Problems
from tieline.seeds.seed import Seed, SeededOrganization, SeededProject, SeededUser
from tieline.store import accounts, environments, integrations, projects, seeds, variables
from tieline.store.database import Connection
from tieline.store.seal import SecretBox

log = structlog.get_logger()
_ADMIN: Final = "admin"


@dataclass(frozen=True)
class Ground:
    """Where a seed is loaded: an administrator is there, with `first_token`, before the first project."""

    registry: Registry
    box: SecretBox
    first_token: Secret


async def load(conn: Connection, ground: Ground, seed: Seed) -> None:
    """Write what is not there yet. Raises `Invalid` for what contradicts what is there, naming each place.

    Users and organizations are told by their names, projects by their ids; those that are there are left alone, and
    so is everything in them.
    """
    await seeds.lock(conn)
    problems = Problems()
    new_users = await _load_users(conn, seed, problems)
    users = await _user_ids(conn)
    if _ADMIN not in users:
        await accounts.ensure_operator(conn, ground.first_token)
        users = await _user_ids(conn)
    await _load_organizations(conn, seed, users, problems)
    # Only now, for it makes an organization that owns what names none where the seed brings none.
    await accounts.ensure_operator(conn, ground.first_token)
    new_projects = await _load_projects(conn, ground, seed, users, problems)
    _tell_missing(seed, [*(each.place for each in new_users), *(each.place for each in new_projects)])


async def _user_ids(conn: Connection) -> dict[str, str]:
    """The ids of all users by name."""
    return {each.username: each.id for each in await accounts.load_all(conn)}


async def _load_users(conn: Connection, seed: Seed, problems: Problems) -> list[SeededUser]:
    """Those that were not there yet."""
    known = await _user_ids(conn)
    taken = await seeds.present(conn, "account", [each.account.id for each in seed.users])
    new = [each for each in seed.users if each.account.username not in known]
    for each in new:
        if each.account.id in taken:
            problems.add(f"{each.place}.id", f"Another user has the id {each.account.id}.")
    problems.raise_any()
    for each in new:
        await _create_user(conn, each, problems)
    return new


async def _create_user(conn: Connection, user: SeededUser, problems: Problems) -> None:
    await accounts.create(conn, user.account)
    for token, value in user.tokens:
        try:
            await seeds.restore_token(conn, token, value)
        except Invalid as error:
            problems.add_all(f"{user.place}.tokens", error)
            problems.raise_any()


async def _load_organizations(conn: Connection, seed: Seed, users: Mapping[str, str], problems: Problems) -> None:
    known = await seeds.organization_ids(conn)
    taken = await seeds.present(conn, "organization", [each.organization.id for each in seed.organizations])
    new = [each for each in seed.organizations if each.organization.name not in known]
    for each in new:
        if each.organization.id in taken:
            problems.add(f"{each.place}.id", f"Another organization has the id {each.organization.id}.")
        _check_user(problems, users, f"{each.place}.owner", each.organization.owner)
        for member in each.members:
            _check_user(problems, users, member.place, member.username)
    problems.raise_any()
    for each in new:
        await _create_organization(conn, each, users)


async def _create_organization(conn: Connection, seeded: SeededOrganization, users: Mapping[str, str]) -> None:
    organization = seeded.organization
    is_default = organization.is_default and not await seeds.has_default_organization(conn)
    owner = users[organization.owner]
    members = {users[each.username]: (each.role, each.created_at) for each in seeded.members}
    members.setdefault(owner, ("admin", organization.created_at))
    await seeds.restore_organization(
        conn,
        replace(organization, owner=owner, is_default=is_default),
        [(account_id, role, created_at) for account_id, (role, created_at) in members.items()],
    )


async def _load_projects(
    conn: Connection, ground: Ground, seed: Seed, users: Mapping[str, str], problems: Problems
) -> list[SeededProject]:
    """Those that were not there yet."""
    present = await seeds.present(conn, "project", [each.project.id for each in seed.projects])
    new = [each for each in seed.projects if each.project.id not in present]
    organizations = await seeds.organization_ids(conn)
    for each in new:
        _check_users(problems, users, each)
        _check_organization(problems, organizations, each)
        await _check_ids(conn, problems, each)
    problems.raise_any()
    for each in new:
        await _create_project(conn, ground, each, users, organizations)
    if seed.projects:
        log.info("seed.loaded", projects=[each.project.id for each in new], left_alone=sorted(present))
    return new


def _check_users(problems: Problems, users: Mapping[str, str], seeded: SeededProject) -> None:
    _check_user(problems, users, f"{seeded.place}.owner", seeded.project.owner)
    for grant in seeded.grants:
        _check_user(problems, users, grant.place, grant.username)


def _check_user(problems: Problems, users: Mapping[str, str], place: str, username: str) -> None:
    if username not in users:
        problems.add(place, f"There is no user {username!r}, neither here under users nor in the database.")


def _check_organization(problems: Problems, organizations: Mapping[str, str], seeded: SeededProject) -> None:
    named = seeded.project.organization
    if named is not None and named not in organizations:
        problems.add(f"{seeded.place}.organization", f"There is no organization {named!r}.")


async def _check_ids(conn: Connection, problems: Problems, seeded: SeededProject) -> None:
    of_integrations = [each.id for each in seeded.integrations]
    of_activities = [each.activity.id for each in seeded.activities]
    for id in sorted(await seeds.present(conn, "integration", of_integrations)):  # noqa: A001
        place = f"{seeded.place}.integrations[{of_integrations.index(id)}].id"
        problems.add(place, f"Another project has an integration {id}.")
    for id in sorted(await seeds.present(conn, "activity", of_activities)):  # noqa: A001
        place = f"{seeded.place}.activities[{of_activities.index(id)}].id"
        problems.add(place, f"Another project has an activity {id}.")


async def _create_project(
    conn: Connection,
    ground: Ground,
    seeded: SeededProject,
    users: Mapping[str, str],
    organizations: Mapping[str, str],
) -> None:
    named = seeded.project.organization
    project = replace(
        seeded.project, owner=users[seeded.project.owner], organization=organizations[named] if named else None
    )
    await projects.create(conn, project)
    grants = [(users[each.username], each.role, each.granted_at) for each in seeded.grants]
    await seeds.restore_grants(conn, project.id, grants)
    for each in seeded.integrations:
        kind = ground.registry[each.type]
        await integrations.create(
            conn, ground.box, each, is_git_source=kind.is_git_source, is_sink=kind.sink is not None
        )
        await seeds.restore_updated_at(conn, each.id, each.updated_at)
    for variable in seeded.variables:
        await variables.create(conn, ground.box, variable)
        await seeds.restore_variable_times(conn, variable)
    await environments.create_many(conn, seeded.environments)
    await seeds.restore_activities(conn, [each.activity for each in seeded.activities])
    await seeds.restore_logs(conn, {each.activity.id: each.log for each in seeded.activities})


def _tell_missing(seed: Seed, places: Iterable[str]) -> None:
    """Of what was loaded just now: who starts a server again has been told before."""
    beginnings = tuple(f"{each}." for each in places)
    for missing in seed.missing:
        if missing.place.startswith(beginnings):
            log.warning("seed.secret_missing", wanted=missing.wanted, loaded_without=missing.what)
