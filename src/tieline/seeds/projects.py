"""Projects with everything in them, read and written. Pure but for where secrets are looked up."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tieline.core.documents import JSON, Project
from tieline.core.ids import ID_LENGTH, short_hash
from tieline.seeds.activities import read_activities
from tieline.seeds.environments import Surroundings, build_environments, guess_default_branch, parse_environments
from tieline.seeds.integrations import git_source, read_integrations
from tieline.seeds.models import AccessPart, ProjectPart
from tieline.seeds.problems import Names, enumerated
from tieline.seeds.seed import Reading, SeededGrant, SeededProject, compact
from tieline.store.accounts import Grant

_LISTS: Final = ("access", "integrations", "environments", "activities")
_UNKNOWN: Final = "?"


def read_projects(reading: Reading, values: list[Any]) -> tuple[SeededProject, ...]:
    """The projects of a file. One without an id gets one that follows from its title, the same at every reading."""
    alike: Counter[str] = Counter()
    projects = []
    for index, (place, value) in enumerate(enumerated("projects", values)):
        part = reading.problems.parse(ProjectPart, place, value) or _lists_of(value)
        made = short_hash("project", part.title, str(alike[part.title]), length=ID_LENGTH)
        alike[part.title] += 1
        reading.ids("project").add(f"{place}.id", part.id or made)
        projects.append(_project(reading, place, part.id or made, part, index))
    return tuple(projects)


def _lists_of(value: Any) -> ProjectPart:
    """What is in a project that is itself wrong, so that all that is wrong is found at once."""
    given = value if isinstance(value, dict) else {}
    lists = {name: given[name] for name in _LISTS if isinstance(given.get(name), list)}
    return ProjectPart(title=_UNKNOWN, **lists)


def _project(reading: Reading, place: str, id: str, part: ProjectPart, index: int) -> SeededProject:
    integrations, variables = read_integrations(reading, f"{place}.integrations", id, part.integrations)
    parts = parse_environments(reading, f"{place}.environments", part.environments)
    is_said = "default_branch" in part.model_fields_set
    default_branch = part.default_branch if is_said else guess_default_branch([each for _, each in parts])
    around = Surroundings(
        project_id=id,
        source=git_source(reading.registry, integrations),
        integrations=frozenset(each.id for each in integrations),
        default_branch=default_branch,
    )
    project = Project(
        id=id,
        title=part.title,
        description=part.description,
        attributes=part.attributes,
        default_branch=default_branch,
        timezone=part.timezone,
        region=part.region,
        owner=part.owner,
        organization=part.organization,
        created_at=part.created_at or reading.moment_of(index),
        updated_at=part.updated_at,
    )
    return SeededProject(
        project=project,
        grants=_grants(reading, f"{place}.access", part.access),
        integrations=integrations,
        variables=variables,
        environments=build_environments(reading, around, parts),
        activities=read_activities(reading, f"{place}.activities", id, part.activities),
        place=place,
    )


def _grants(reading: Reading, place: str, values: list[Any]) -> tuple[SeededGrant, ...]:
    users = Names(reading.problems, "access of")
    grants = []
    for index, (each_place, value) in enumerate(enumerated(place, values)):
        part = reading.problems.parse(AccessPart, each_place, value)
        if part is not None:
            users.add(f"{each_place}.user", part.user)
            granted = part.granted_at or reading.moment_of(index)
            grants.append(SeededGrant(part.user, part.role, granted, f"{each_place}.user"))
    return tuple(grants)


def write_project(project: Project, names: Mapping[str, str], grants: Sequence[Grant], parts: JSON) -> JSON:
    """A project as the file has it; `names` are those of accounts and organizations, `parts` its lists, written."""
    values = {
        "id": project.id,
        "title": project.title,
        "description": project.description,
        "attributes": dict(project.attributes),
        "default_branch": project.default_branch,
        "timezone": project.timezone,
        "region": project.region,
        "owner": names[project.owner],
        "organization": names[project.organization or ""],
        "created_at": project.created_at,
        "updated_at": project.updated_at,
        "access": [_write_grant(each, names) for each in grants],
        **parts,
    }
    return compact(ProjectPart, values, "default_branch", "owner")


def _write_grant(grant: Grant, names: Mapping[str, str]) -> JSON:
    values = {"user": names[grant.account_id], "role": grant.role, "granted_at": grant.granted_at}
    return compact(AccessPart, values)
