"""What receivers are told, kept once for all of them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, LiteralString

from psycopg.rows import class_row

from tieline.store.database import Connection


@dataclass(frozen=True)
class NewMessage:
    """What receivers will be told of an activity that entered a state."""

    project_id: str
    cause_id: str
    type: str
    state: str
    result: str | None
    environment_id: str | None
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class KeptMessage:
    """A message as it is sent."""

    id: int
    cause_id: str
    type: str
    state: str
    environment_id: str | None
    body: bytes = field(repr=False)


async def add(conn: Connection, new: Sequence[NewMessage]) -> list[int]:
    """Keep messages; their numbers, in the same order."""
    columns = {name: [getattr(each, name) for each in new] for name in NewMessage.__dataclass_fields__}
    cursor = await conn.execute(_ADD, columns)
    return sorted(row["id"] for row in await cursor.fetchall())


async def read(conn: Connection, message_ids: Collection[int], most_bytes: int) -> dict[int, KeptMessage]:
    """Messages by number; beyond so many bytes of bodies the later ones are left out, but never the first."""
    async with conn.cursor(binary=True, row_factory=class_row(KeptMessage)) as cursor:
        await cursor.execute(_READ, [list(message_ids), most_bytes])
        return {message.id: message for message in await cursor.fetchall()}


_ADD: Final[LiteralString] = """
    insert into message (project_id, cause_id, type, state, result, environment_id, body)
    select project_id, cause_id, type, state, result, environment_id, body
    from unnest(%(project_id)s::text[], %(cause_id)s::text[], %(type)s::text[], %(state)s::text[], %(result)s::text[],
                %(environment_id)s::text[], %(body)b::bytea[]) with ordinality
        as given (project_id, cause_id, type, state, result, environment_id, body, place)
    order by place
    returning id
"""

_READ: Final[LiteralString] = """
    select id, cause_id, type, state, environment_id, body from (
        select *, sum(octet_length(body)) over (order by id) - octet_length(body) as before
        from message where id = any(%s)) as measured
    where before < %s
"""
