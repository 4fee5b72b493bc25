"""What the vendor does to environments and Tieline does not: never linked, and refused with the reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from tieline.api.description.documented import documented
from tieline.api.environments import load_environment
from tieline.api.gate import Admin
from tieline.api.outputs import Plain
from tieline.api.rooms import InRooms, Rooms
from tieline.core.errors import Invalid
from tieline.store import integrations
from tieline.store.database import Connection

router = APIRouter(tags=["Environment"])

_MESSAGE: Final = "This operation is not available."


@dataclass(frozen=True)
class Elsewhere:
    """Where people do it instead, in a project that follows a repository and in one that does not."""

    summary: str
    followed: str
    alone: str


def _everywhere(summary: str, sentence: str) -> Elsewhere:
    return Elsewhere(summary, sentence, sentence)


ELSEWHERE: Final[Mapping[str, Elsewhere]] = {
    "branch": Elsewhere(
        "Refused: branches are created at the Git host.",
        "Create the branch there, and it becomes an environment.",
        "There is no code to branch from. Add an integration with a Git host, and create the branch there.",
    ),
    "merge": Elsewhere(
        "Refused: branches are merged at the Git host.",
        "Merge there, for example by a pull request.",
        "There is no code to merge. Add an integration with a Git host, and merge there.",
    ),
    "initialize": Elsewhere(
        "Refused: code comes from the Git host.",
        "Push the code there.",
        "Code comes from a Git host only. Add an integration with one, and push the code there.",
    ),
    "source-operation": Elsewhere(
        "Refused: code changes at the Git host only.",
        "Change the code there.",
        "Code comes from a Git host only. Add an integration with one, and change the code there.",
    ),
    "backup": _everywhere(
        "Refused: Tieline takes no backups.", "Tieline takes no backups; what runs is the deployer's."
    ),
    "deploy": _everywhere("Refused: nothing is ever staged.", "Nothing is staged: every change is deployed at once."),
}


@dataclass(frozen=True)
class Origin:
    """Where a project's code comes from, in words; `not_yet` says so when nothing is read from there yet."""

    place: str
    not_yet: str = ""


async def _find_origin(conn: Connection, rooms: Rooms, project_id: str) -> Origin | None:
    id = await integrations.git_source_id(conn, project_id)  # noqa: A001
    if id is None:
        return None
    source = await integrations.get(conn, rooms.services.box, project_id, id)
    kind, config = rooms.services.registry[source.type], source.config
    name = config.get("repository") or config.get("project") or source.id
    return Origin(f"{kind.title} repository {name}", kind.not_yet)


def explain(elsewhere: Elsewhere, origin: Origin | None) -> str:
    """The reason, for a project whose code comes from there."""
    if origin is None or elsewhere.followed == elsewhere.alone:
        return elsewhere.alone
    if origin.not_yet:
        return f"This project is tied to the {origin.place}. {origin.not_yet}"
    return f"This project follows the {origin.place}. {elsewhere.followed}"


def _add(operation: str, elsewhere: Elsewhere) -> None:
    @router.post(
        f"/projects/{{project_id}}/environments/{{environment_id}}/{operation}",
        name=f"{operation}_environment".replace("-", "_"),
        summary=elsewhere.summary,
    )
    @documented(answer=Plain, note="Always refused.")
    async def refuse(access: Admin, rooms: InRooms, environment_id: str) -> Response:
        """Always 400, which says why, and where to do it instead."""
        async with rooms.services.db.connection() as conn:
            await load_environment(conn, access.project_id, environment_id)
            origin = await _find_origin(conn, rooms, access.project_id)
        raise Invalid({"": explain(elsewhere, origin)}, _MESSAGE)


for _operation, _elsewhere in ELSEWHERE.items():
    _add(_operation, _elsewhere)
