"""The variables of an integration, which activity scripts read by name."""

import re
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tieline.api.bodies import Body, parse, parse_json
from tieline.api.description.documented import documented
from tieline.api.gate import Access, Admin, known_id
from tieline.api.inputs import VariableCreate, VariablePatch
from tieline.api.outputs import Removed, VariableDocument
from tieline.api.responses import accepted, tagged
from tieline.api.rooms import InRooms, Rooms
from tieline.core.documents import Integration, Variable
from tieline.core.errors import Conflict, Invalid, NotFound
from tieline.core.secret import Secret
from tieline.core.values import VARIABLE_NAME
from tieline.store import integrations, variables
from tieline.store.database import Connection

router = APIRouter(tags=["Third-Party Integrations"])

MOST: Final = 100
_LISTED: Final = "/projects/{project_id}/integrations/{integration_id}/variables"
_ONE: Final = _LISTED + "/{variable_name}"


async def _integration(
    conn: Connection, rooms: Rooms, access: Access, integration_id: str, *, lock: bool = False
) -> Integration:
    wanted = known_id(integration_id, "Integration not found")
    return await integrations.get(conn, rooms.services.box, access.project_id, wanted, lock=lock)


def _known_name(text: str) -> str:
    """The name itself. Raises `NotFound` for what cannot be one: that never reaches the database."""
    if not re.fullmatch(VARIABLE_NAME, text):
        raise NotFound("Variable not found")
    return text


@router.get(_LISTED)
@documented(answer=list[VariableDocument], note="In the vendor's guides, and in none of its documents.")
async def list_variables(request: Request, access: Admin, rooms: InRooms, integration_id: str) -> Response:
    """The variables of an integration, without the values of those that are sensitive."""
    async with rooms.services.db.connection() as conn:
        integration = await _integration(conn, rooms, access, integration_id)
        found = await variables.load_all(conn, rooms.services.box, integration.id)
    return tagged(request, [rooms.writer.variable(each, access.project_id) for each in found])


@router.get(_ONE)
@documented(answer=VariableDocument, basis="inferred", note="The vendor's guides name the operation, and not its path.")
async def get_variable(
    request: Request, access: Admin, rooms: InRooms, integration_id: str, variable_name: str
) -> Response:
    """One variable, without its value if it is sensitive."""
    async with rooms.services.db.connection() as conn:
        integration = await _integration(conn, rooms, access, integration_id)
        found = await variables.get(conn, rooms.services.box, integration.id, _known_name(variable_name))
    return tagged(request, rooms.writer.variable(found, access.project_id))


@router.post(_LISTED, status_code=201)
@documented(
    accepted=VariableDocument,
    body=VariableCreate,
    errors=(409,),
    note="In the vendor's guides, and in none of its documents.",
)
async def create_variable(access: Admin, rooms: InRooms, integration_id: str, body: Body) -> Response:
    """Give an integration a variable."""
    given = parse(VariableCreate, body)
    async with rooms.services.db.transaction() as conn:
        # Locked, so that two at once do not make one too many.
        integration = await _integration(conn, rooms, access, integration_id, lock=True)
        new = _new(integration, given, rooms)
        _check_json(new)
        if await variables.count(conn, integration.id) >= MOST:
            raise Invalid({"name": f"An integration has {MOST} variables at most; delete one first."})
        if not await variables.create(conn, rooms.services.box, new):
            raise Conflict(f"There is a variable {new.name!r} already; change that one.")
    return accepted(rooms.writer.variable(new, access.project_id), status=HTTPStatus.CREATED)


def _new(integration: Integration, given: VariableCreate, rooms: Rooms) -> Variable:
    return Variable(
        integration_id=integration.id,
        name=given.name,
        value=Secret(given.value),
        attributes=given.attributes,
        is_json=given.is_json,
        is_sensitive=given.is_sensitive,
        created_at=rooms.services.now(),
        updated_at=None,
    )


def _check_json(variable: Variable) -> None:
    """Raises `Invalid`, without a word of the value."""
    try:
        if variable.is_json:
            parse_json(variable.value.reveal().encode())
    except Invalid:
        raise Invalid({"value": "This is no JSON, which is_json says it is."}) from None


@router.patch(_ONE)
@documented(
    accepted=VariableDocument,
    body=VariablePatch,
    basis="inferred",
    note="The vendor's guides name the operation, and not its path.",
)
async def patch_variable(
    access: Admin, rooms: InRooms, integration_id: str, variable_name: str, body: Body
) -> Response:
    """Change a variable; only the fields that are sent."""
    given, box = parse(VariablePatch, body), rooms.services.box
    async with rooms.services.db.transaction() as conn:
        integration = await _integration(conn, rooms, access, integration_id)
        present = await variables.get(conn, box, integration.id, _known_name(variable_name), lock=True)
        wanted = plan_change(present, given)
        if wanted != present:
            await variables.save(conn, box, wanted)
        changed = await variables.get(conn, box, integration.id, present.name)
    return accepted(rooms.writer.variable(changed, access.project_id))


def plan_change(present: Variable, given: VariablePatch) -> Variable:
    """The variable as it is to be. Raises `Invalid`."""
    if given.name not in (None, present.name):
        raise Invalid({"name": "The name cannot be changed; create another variable."})
    if present.is_sensitive and given.is_sensitive is False:
        raise Invalid({"is_sensitive": "What is sensitive stays so; delete the variable and create it again."})
    sent = given.model_dump(exclude_unset=True, exclude={"name", "value"})
    value = present.value if given.value is None else Secret(given.value)
    wanted = replace(present, **sent, value=value)
    _check_json(wanted)
    return wanted


@router.delete(_ONE)
@documented(answer=Removed, basis="inferred", note="The vendor's guides name the operation, and not its path.")
async def delete_variable(access: Admin, rooms: InRooms, integration_id: str, variable_name: str) -> Response:
    """Take a variable away."""
    async with rooms.services.db.transaction() as conn:
        integration = await _integration(conn, rooms, access, integration_id)
        await variables.remove(conn, integration.id, _known_name(variable_name))
    return accepted()
