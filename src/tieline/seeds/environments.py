"""Environments, read and written. Pure but for where passwords are looked up."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from tieline.core.clock import iso
from tieline.core.documents import JSON, Deployment, Environment, PullInfo, is_below
from tieline.core.ids import environment_id, machine_name, pull_environment_id
from tieline.core.secret import Secret
from tieline.seeds.models import DeploymentPart, EnvironmentPart, HTTPAccessPart, PullPart
from tieline.seeds.problems import Names, enumerated
from tieline.seeds.references import Variables, parse_reference
from tieline.seeds.seed import Reading, compact

_PASSWORD_BYTES: Final = 32


@dataclass(frozen=True)
class Surroundings:
    """What an environment's own defaults depend on."""

    project_id: str
    source: str | None
    """The id of the project's Git source."""

    integrations: frozenset[str]
    default_branch: str | None


@dataclass(frozen=True)
class _Given:
    """One environment of the file: where it stands, what it says, and the id that it has or gets."""

    place: str
    part: EnvironmentPart
    id: str


def parse_environments(reading: Reading, place: str, values: list[Any]) -> list[tuple[str, EnvironmentPart]]:
    """Those that can be read, each with its place."""
    parsed = (
        (each_place, reading.problems.parse(EnvironmentPart, each_place, value))
        for each_place, value in enumerated(place, values)
    )
    return [(each_place, part) for each_place, part in parsed if part is not None]


def guess_default_branch(parts: Sequence[EnvironmentPart]) -> str | None:
    """The branch of the production environment: the one that says so, or else the first one."""
    branches = [each for each in parts if each.pull is None]
    return next((each.name for each in branches if each.is_main), branches[0].name if branches else None)


def build_environments(
    reading: Reading, around: Surroundings, parts: Sequence[tuple[str, EnvironmentPart]]
) -> tuple[Environment, ...]:
    """The environments of a project."""
    given = _with_ids(parts)
    main = _main(around, given)
    built = {each.id: _build(reading, around, given, main, index) for index, each in enumerate(given)}
    _check(reading, around, given, built)
    return tuple(built.values())


def _with_ids(parts: Sequence[tuple[str, EnvironmentPart]]) -> list[_Given]:
    taken = {part.id for _, part in parts if part.id is not None}
    given = []
    for place, part in parts:
        made = pull_environment_id(part.pull.number) if part.pull else environment_id(part.name, taken)
        given.append(_Given(place, part, part.id or made))
        taken.add(given[-1].id)
    return given


def _main(around: Surroundings, given: Sequence[_Given]) -> str | None:
    """The id of the production environment."""
    said = [each.id for each in given if each.part.is_main]
    branches = (each for each in given if each.part.pull is None and each.part.is_main is None)
    named = [each.id for each in branches if each.part.name == around.default_branch]
    return next(iter(said or named), None)


def _build(
    reading: Reading, around: Surroundings, given: Sequence[_Given], main: str | None, index: int
) -> Environment:
    each = given[index]
    part, is_main = each.part, each.id == main
    sent = part.model_fields_set
    return Environment(
        id=each.id,
        project_id=around.project_id,
        name=part.name,
        machine_name=part.machine_name or machine_name(around.project_id, each.id),
        title=part.name if part.title is None else part.title,
        type=part.type or ("production" if is_main else "development"),
        status=part.status or ("active" if is_main else "inactive"),
        parent=part.parent if "parent" in sent or is_main else _parent(part, given, main),
        is_main=is_main,
        created_at=part.created_at or reading.moment_of(index),
        updated_at=part.updated_at,
        integration_id=part.integration if "integration" in sent else around.source,
        attributes=part.attributes,
        pull=PullInfo(**part.pull.model_dump()) if part.pull else None,
        head_commit=part.head_commit,
        has_remote=part.has_remote,
        awaiting_approval=part.awaiting_approval,
        clone_parent_on_create=part.clone_parent_on_create,
        init_resources=part.init_resources,
        http_access=_http_access(reading, each),
        enable_smtp=part.enable_smtp,
        restrict_robots=part.restrict_robots,
        deployment=_deployment(part.deployment),
        data_synced_at=part.data_synced_at,
        last_active_at=part.last_active_at,
    )


def _parent(part: EnvironmentPart, given: Sequence[_Given], main: str | None) -> str | None:
    """That of a pull request's target; the production environment for all others."""
    target = part.pull.target_branch if part.pull else None
    return next((each.id for each in given if each.part.pull is None and each.part.name == target), main)


def _deployment(part: DeploymentPart | None) -> Deployment | None:
    return None if part is None else Deployment(part.commit, tuple(part.urls), part.deployed_at)


def _http_access(reading: Reading, given: _Given) -> JSON:
    access, place = given.part.http_access, f"{given.place}.http_access.basic_auth"
    passwords = {
        name: _password(reading, f"{place}.{name}", value, f"the password of {name} for the environment {given.id}")
        for name, value in access.basic_auth.items()
    }
    addresses = [each.model_dump() for each in access.addresses]
    return {"is_enabled": access.is_enabled, "addresses": addresses, "basic_auth": passwords}


def _password(reading: Reading, place: str, value: Any, what: str) -> str:
    """A password that is not there is replaced by one that nobody knows, so that the environment stays closed."""
    if isinstance(value, str) and value:
        return value
    reference = parse_reference(value, place, reading.problems)
    found = reading.secret(reference, place, what) if reference is not None else None
    return found.reveal() if found else secrets.token_urlsafe(_PASSWORD_BYTES)


def _check(reading: Reading, around: Surroundings, given: Sequence[_Given], built: Mapping[str, Environment]) -> None:
    names = {
        "id": Names(reading.problems, "id"),
        "name": Names(reading.problems, "branch"),
        "machine_name": Names(reading.problems, "machine name"),
    }
    for each in given:
        environment = built[each.id]
        names["id"].add(f"{each.place}.id", each.id)
        names["machine_name"].add(f"{each.place}.machine_name", environment.machine_name)
        if environment.pull is None:
            names["name"].add(f"{each.place}.name", environment.name)
        _check_relations(reading, around, each, built)


def _check_relations(reading: Reading, around: Surroundings, given: _Given, built: Mapping[str, Environment]) -> None:
    environment = built[given.id]
    if given.part.is_main and not environment.is_main:
        reading.problems.add(f"{given.place}.is_main", "There is another production environment already.")
    if environment.integration_id is not None and environment.integration_id not in around.integrations:
        sentence = f"The project has no integration {environment.integration_id!r}."
        reading.problems.add(f"{given.place}.integration", sentence)
    parent = environment.parent
    if parent is not None and parent not in built:
        reading.problems.add(f"{given.place}.parent", f"There is no environment {parent!r} here.")
    elif parent is not None and is_below(parent, environment.id, built):
        reading.problems.add(f"{given.place}.parent", f"{parent!r} hangs below this environment itself.")


def write_environment(environment: Environment, integrations: Collection[str], variables: Variables) -> JSON:
    """An environment as the file has it; passwords refer to variables. It follows one of `integrations`, or none."""
    followed = environment.integration_id
    values = {
        "id": environment.id,
        "name": environment.name,
        "machine_name": environment.machine_name,
        "title": environment.title,
        "attributes": dict(environment.attributes),
        "type": environment.type,
        "status": environment.status,
        "parent": environment.parent,
        "is_main": environment.is_main,
        "integration": followed if followed in integrations else None,
        "pull": None if environment.pull is None else compact(PullPart, asdict(environment.pull)),
        "head_commit": environment.head_commit,
        "has_remote": environment.has_remote,
        "awaiting_approval": environment.awaiting_approval,
        "clone_parent_on_create": environment.clone_parent_on_create,
        "init_resources": environment.init_resources,
        "http_access": _write_http_access(environment, variables),
        "enable_smtp": environment.enable_smtp,
        "restrict_robots": environment.restrict_robots,
        "deployment": _write_deployment(environment.deployment),
        "data_synced_at": environment.data_synced_at,
        "last_active_at": environment.last_active_at,
        "created_at": environment.created_at,
        "updated_at": environment.updated_at,
    }
    written = compact(EnvironmentPart, values, "parent", "is_main", "integration")
    return {name: value for name, value in written.items() if value != {}}


def _write_http_access(environment: Environment, variables: Variables) -> JSON:
    access = environment.http_access
    passwords = {
        name: variables.refer(Secret(password), "http_access", environment.project_id, environment.id, name)
        for name, password in access.get("basic_auth", {}).items()
    }
    return compact(HTTPAccessPart, {**access, "basic_auth": passwords})


def _write_deployment(deployment: Deployment | None) -> JSON | None:
    if deployment is None:
        return None
    return {
        "commit": deployment.commit,
        "urls": list(deployment.urls),
        "deployed_at": iso(deployment.deployed_at),
    }
