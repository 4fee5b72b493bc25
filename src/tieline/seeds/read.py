"""From a file to a seed."""

from datetime import datetime

from tieline.integrations.base import Registry
from tieline.seeds.models import SeedFile
from tieline.seeds.organizations import read_organizations
from tieline.seeds.projects import read_projects
from tieline.seeds.references import LookUp
from tieline.seeds.seed import Reading, Seed
from tieline.seeds.text import read_yaml
from tieline.seeds.users import read_users


def read_seed(
    data: bytes, registry: Registry, look_up: LookUp, moment: datetime, reconcile_seconds: float = 300
) -> Seed:
    """What a file says. Raises `Invalid` with one sentence per place that is wrong, and `TooLarge`.

    What it does not say of times begins at `moment`; what Git sources follow is read `reconcile_seconds` after it.
    """
    reading = Reading(registry, look_up, moment, reconcile_seconds)
    document = read_yaml(data)
    file = reading.problems.parse(SeedFile, "", {} if document is None else document)
    if file is None:
        reading.problems.raise_any()
        return Seed()
    users = read_users(reading, file.users)
    organizations = read_organizations(reading, file.organizations)
    projects = read_projects(reading, file.projects)
    reading.problems.raise_any()
    return Seed(users, organizations, projects, tuple(reading.missing))
