"""From a database to a file."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tieline.core.documents import JSON, Account, APIToken, Integration, Organization, Project
from tieline.core.errors import Conflict
from tieline.core.secret import Secret
from tieline.integrations.base import Registry
from tieline.seeds.activities import write_activity
from tieline.seeds.environments import write_environment
from tieline.seeds.integrations import write_integration
from tieline.seeds.organizations import write_organization
from tieline.seeds.projects import write_project
from tieline.seeds.references import Variables
from tieline.seeds.text import LIMIT, write_yaml
from tieline.seeds.users import write_user
from tieline.store import accounts, environments, integrations, organizations, projects, seeds, variables
from tieline.store.accounts import Grant
from tieline.store.database import Connection, Database
from tieline.store.organizations import Member
from tieline.store.seal import SecretBox


@dataclass(frozen=True)
class Exporter:
    """Writes seeds of what is in a database."""

    db: Database
    box: SecretBox
    registry: Registry

    async def export(self, project_ids: Sequence[str] = ()) -> bytes:
        """A seed of these projects, or of all there are, with the users and organizations that belong to them.

        Everything is read as it was at one moment. Raises `NotFound`, and `Conflict` when it is more than can be read
        back.
        """
        written, _ = await self.export_with_secrets(project_ids)
        return written

    async def export_with_secrets(self, project_ids: Sequence[str] = ()) -> tuple[bytes, Mapping[str, Secret]]:
        """As `export`, with the values of the variables that the seed refers to."""
        referred = Variables()
        async with self.db.snapshot() as conn:
            document = await self._document(conn, project_ids, referred)
        written = await asyncio.to_thread(write_yaml, document)
        if len(written) > LIMIT:
            raise _too_large()
        return written, referred.values

    async def _document(self, conn: Connection, project_ids: Sequence[str], referred: Variables) -> JSON:
        named = [await projects.get(conn, each) for each in dict.fromkeys(project_ids)]
        found = named or await projects.load_all(conn)
        await _check_weight(conn, found)
        grants = {each.id: await accounts.load_grants(conn, each.id) for each in found}
        owners = await _organizations(conn, {each.organization for each in found if named}, everything=not named)
        everybody = await accounts.load_all(conn)
        people = _concerned(found, grants, owners) if named else {each.id for each in everybody}
        names = _names(everybody, [each for each, _ in owners])
        written = [await self._project(conn, each, grants[each.id], names, referred) for each in found]
        return {
            "tieline": 1,
            "users": [await _user(conn, each, referred) for each in everybody if each.id in people],
            "organizations": [write_organization(each, members, names) for each, members in owners],
            "projects": written,
        }

    async def _project(
        self, conn: Connection, project: Project, grants: Sequence[Grant], names: dict[str, str], referred: Variables
    ) -> JSON:
        present = await integrations.load_all(conn, self.box, project.id)
        ids = {each.id for each in present}
        logs = await seeds.load_logs(conn, project.id)
        parts: dict[str, list[Any]] = {
            "integrations": [await self._integration(conn, each, referred) for each in present],
            "environments": [
                write_environment(each, ids, referred) for each in await environments.load_all(conn, project.id)
            ],
            "activities": [
                write_activity(each, logs.get(each.id, ())) for each in await seeds.load_ended(conn, project.id)
            ],
        }
        return write_project(project, names, grants, parts)

    async def _integration(self, conn: Connection, integration: Integration, referred: Variables) -> JSON:
        own = await variables.load_all(conn, self.box, integration.id)
        return write_integration(self.registry[integration.type], integration, own, referred)


async def _check_weight(conn: Connection, found: Iterable[Project]) -> None:
    weight = 0
    for each in found:
        weight += await seeds.weigh(conn, each.id)
    if weight > LIMIT:
        raise _too_large()


def _too_large() -> Conflict:
    return Conflict(
        f"The export would be larger than {LIMIT:,} bytes, the most that is read back; name fewer projects."
    )


async def _organizations(
    conn: Connection, wanted: Collection[str | None], *, everything: bool
) -> list[tuple[Organization, list[Member]]]:
    found = [each for each in await seeds.load_organizations(conn) if everything or each.id in wanted]
    return [(each, await organizations.load_members(conn, each.id)) for each in found]


def _concerned(
    found: Iterable[Project],
    grants: dict[str, list[Grant]],
    owners: Iterable[tuple[Organization, list[Member]]],
) -> set[str]:
    """The ids of the accounts that a seed of these projects has to name."""
    ids = {each.owner for each in found} | {grant.account_id for each in grants.values() for grant in each}
    for organization, members in owners:
        ids |= {organization.owner, *(each.account.id for each in members)}
    return ids


def _names(everybody: Iterable[Account], owners: Iterable[Organization]) -> dict[str, str]:
    return {each.id: each.username for each in everybody} | {each.id: each.name for each in owners}


async def _user(conn: Connection, account: Account, referred: Variables) -> JSON:
    tokens = await accounts.load_tokens(conn, account.id)
    return write_user(account, [each for each in tokens if not _is_first(account, each)], referred)


def _is_first(account: Account, token: APIToken) -> bool:
    """Whether it is the first administrator's, which every server gets anew."""
    return account.username == "admin" and token.name == "initial"
