"""Reads what docker prints. Pure."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from settings import Refused

_HTTPS_PORTS: Final = frozenset({443, 8443})


def check_model(model: Mapping[str, Any], project: str) -> None:
    """Raises `Refused` when the compose file reaches for what is not the environment's own.

    Takes the output of `docker compose config --format json`.
    """
    if model["name"] != project:
        raise Refused(f"Compose would call the project {model['name']} instead of {project}.")
    for key, volume in (model.get("volumes") or {}).items():
        if volume.get("external") or volume.get("name") != f"{project}_{key}":
            raise Refused(
                f"The volume {key} has a name of its own or is external, so every environment would share its data. "
                "Remove `name` and `external` from it."
            )


def parse_urls(lines: str, host: str) -> list[str]:
    """A URL for every published TCP port, the lowest port inside of the container first.

    Takes the output of `docker compose ps --format json`: a JSON object in each line.
    """
    containers = [json.loads(line) for line in lines.splitlines() if line.strip()]
    found = {
        (publisher["TargetPort"], container["Service"], publisher["PublishedPort"])
        for container in containers
        for publisher in container.get("Publishers") or []
        if publisher["PublishedPort"] and publisher["Protocol"] == "tcp"
    }
    return [f"{_scheme(target)}://{host}:{published}/" for target, _, published in sorted(found)]


def _scheme(target: int) -> str:
    return "https" if target in _HTTPS_PORTS else "http"


def parse_volumes(lines: str) -> dict[str, str]:
    """Names of volumes by what the compose file calls them. Takes lines of both, with a tab between."""
    pairs: Iterable[tuple[str, str, str]] = (line.partition("\t") for line in lines.splitlines())
    return {key: name for name, _, key in pairs if key}
