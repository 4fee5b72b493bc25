"""What a seed is once it is read, and what reading it needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tieline.core.clock import iso
from tieline.core.documents import (
    Account,
    Activity,
    APIToken,
    Environment,
    Integration,
    LogLine,
    Organization,
    Project,
    Role,
    Variable,
)
from tieline.core.secret import Secret
from tieline.integrations.base import Registry
from tieline.seeds.models import Part, Reference
from tieline.seeds.problems import Names, Problems
from tieline.seeds.references import LookUp


@dataclass(frozen=True)
class SeededUser:
    """A user with the tokens whose values were found."""

    account: Account
    tokens: tuple[tuple[APIToken, Secret], ...]
    place: str


@dataclass(frozen=True)
class SeededMember:
    """A user who belongs to an organization."""

    username: str
    role: Role
    created_at: datetime
    place: str


@dataclass(frozen=True)
class SeededOrganization:
    """An organization; its owner is a username until it is loaded."""

    organization: Organization
    members: tuple[SeededMember, ...]
    place: str


@dataclass(frozen=True)
class SeededGrant:
    """One user's access to a project."""

    username: str
    role: Role
    granted_at: datetime
    place: str


@dataclass(frozen=True)
class SeededActivity:
    activity: Activity
    log: tuple[LogLine, ...]


@dataclass(frozen=True)
class SeededProject:
    """A project with everything in it. Its owner and its organization are names until it is loaded."""

    project: Project
    grants: tuple[SeededGrant, ...]
    integrations: tuple[Integration, ...]
    variables: tuple[Variable, ...]
    environments: tuple[Environment, ...]
    activities: tuple[SeededActivity, ...]
    place: str


@dataclass(frozen=True)
class Missing:
    """A secret of the thing at `place` that was not found where the seed says that it is: `wanted`, in words.

    `what` has to do without it.
    """

    place: str
    wanted: str
    what: str


@dataclass(frozen=True)
class Seed:
    """Everything that a file says."""

    users: tuple[SeededUser, ...] = ()
    organizations: tuple[SeededOrganization, ...] = ()
    projects: tuple[SeededProject, ...] = ()
    missing: tuple[Missing, ...] = ()


@dataclass
class Reading:
    """A file being read at `moment`; Git sources are looked at again `reconcile_seconds` later."""

    registry: Registry
    look_up: LookUp = field(repr=False)
    moment: datetime
    reconcile_seconds: float
    problems: Problems = field(default_factory=Problems)
    missing: list[Missing] = field(default_factory=list)
    _ids: dict[str, Names] = field(default_factory=dict)

    def ids(self, kind: str) -> Names:
        """The ids of things of one kind, which differ in the whole file."""
        return self._ids.setdefault(kind, Names(self.problems, "id"))

    def secret(self, reference: Reference, place: str, what: str) -> Secret | None:
        """The secret of the thing at `place`; None when it is not there, noted together with `what` does without it."""
        found = self.look_up(reference)
        if found is None:
            self.missing.append(Missing(place, reference.place, what))
        return found

    def moment_of(self, index: int) -> datetime:
        """A creation time for the item at `index` of a list, such that the list keeps its order."""
        return self.moment + timedelta(microseconds=index)


def compact(model: type[Part], values: Mapping[str, Any], *always: str) -> dict[str, Any]:
    """`values` as the file has them, without those that reading makes by itself; `always` are written in any case."""
    fields = model.model_fields
    written = {name: iso(value) if isinstance(value, datetime) else value for name, value in values.items()}
    return {name: value for name, value in written.items() if name in always or value != fields[name].get_default()}
