"""Integrations and their sealed secrets.

Whatever changes what readers see, or what a hook is checked against, tells listeners on the topic
`integrations` (key: the project) from the same transaction.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

from psycopg import sql
from psycopg.types.json import Jsonb

from tieline.core.clock import iso
from tieline.core.documents import JSON, Integration, PruneHold
from tieline.core.errors import NotFound
from tieline.core.secret import Secret
from tieline.store import notify
from tieline.store.database import Connection
from tieline.store.seal import SecretBox

_PLAIN: Final = (
    "id",
    "project_id",
    "type",
    "config",
    "created_at",
    "updated_at",
    "remote_id",
    "remote_default_branch",
    "hook_id",
    "hook_checked_at",
    "signed_hook_seen",
    "next_reconcile_at",
    "reconciled_at",
    "last_error",
    "deleted_at",
)
_STATE: Final = frozenset(
    {
        "remote_id",
        "remote_default_branch",
        "hook_id",
        "hook_checked_at",
        "signed_hook_seen",
        "next_reconcile_at",
        "reconciled_at",
        "last_error",
        "prune_hold",
    }
)
# The rest of the state is read by workers only, so caches need not hear of it.
_CACHED_STATE: Final = frozenset({"signed_hook_seen"})

_SELECT: Final[LiteralString] = """
    select integration.*, sealed.names, sealed.keys, sealed.boxes
    from integration cross join lateral (
        select array_agg(name) as names, array_agg(key_id) as keys, array_agg(sealed) as boxes
        from integration_secret
        where integration_id = integration.id and (expires_at is null or expires_at > clock_timestamp())
    ) as sealed
"""


def secret_context(id: str, name: str) -> str:
    """What a secret's sealed bytes are bound to, so that they open nowhere else."""
    return f"{id}/{name}"


def from_row(row: Mapping[str, Any], box: SecretBox) -> Integration:
    """A row of `_SELECT` as a document with its secrets opened."""
    triples = zip(row["names"] or (), row["keys"] or (), row["boxes"] or (), strict=True)
    secrets = {name: box.open(key, sealed, secret_context(row["id"], name)) for name, key, sealed in triples}
    return Integration(
        **{name: row[name] for name in _PLAIN}, secrets=secrets, prune_hold=_parse_hold(row["prune_hold"])
    )


def _parse_hold(stored: Mapping[str, Any] | None) -> PruneHold | None:
    if stored is None:
        return None
    return PruneHold(environments=tuple(stored["environments"]), since=datetime.fromisoformat(stored["since"]))


def _stored(value: object) -> object:
    if isinstance(value, PruneHold):
        return Jsonb({"environments": list(value.environments), "since": iso(value.since)})
    return value


async def load_all(conn: Connection, box: SecretBox, project_id: str) -> list[Integration]:
    """The integrations of a project, oldest first, without those being removed."""
    query = _SELECT + " where project_id = %s and deleted_at is null order by created_at, id"
    cursor = await conn.execute(query, [project_id])
    return [from_row(row, box) for row in await cursor.fetchall()]


async def load_sinks(conn: Connection, project_id: str) -> list[Integration]:
    """Those integrations of a project that want to be told of activities, without their secrets."""
    query = "select * from integration where project_id = %s and is_sink and deleted_at is null order by id"
    cursor = await conn.execute(query, [project_id])
    return [_without_secrets(row) for row in await cursor.fetchall()]


def _without_secrets(row: Mapping[str, Any]) -> Integration:
    return Integration(**{name: row[name] for name in _PLAIN}, prune_hold=_parse_hold(row["prune_hold"]))


async def find_any(conn: Connection, box: SecretBox, id: str, *, lock: bool = False) -> Integration | None:
    """One integration by its id alone, also one that is being removed."""
    query: LiteralString = _SELECT + " where id = %s" + (" for no key update of integration" if lock else "")
    cursor = await conn.execute(query, [id])
    row = await cursor.fetchone()
    return None if row is None else from_row(row, box)


async def get_any(conn: Connection, box: SecretBox, id: str, *, lock: bool = False) -> Integration:
    """One integration by its id alone, also one that is being removed. Raises `NotFound`."""
    found = await find_any(conn, box, id, lock=lock)
    if found is None:
        raise NotFound(f"There is no integration {id!r}.")
    return found


async def get(
    conn: Connection,
    box: SecretBox,
    project_id: str,
    id: str,
    *,
    lock: bool = False,
) -> Integration:
    """One integration of a project. Raises `NotFound`, also for one that is being removed.

    `lock` keeps other writers of its row away until the transaction ends.
    """
    found = await find_any(conn, box, id, lock=lock)
    if found is None or found.project_id != project_id or found.deleted_at is not None:
        raise NotFound("Integration not found")
    return found


async def is_unchanged(conn: Connection, integration: Integration) -> bool:
    """Whether it is still there, with the readable fields that it had when it was read."""
    query = "select 1 from integration where id = %s and deleted_at is null and config = %s"
    cursor = await conn.execute(query, [integration.id, Jsonb(integration.config)])
    return await cursor.fetchone() is not None


async def git_source_id(conn: Connection, project_id: str) -> str | None:
    """The id of the project's Git source, of which there is one at most."""
    cursor = await conn.execute(
        "select id from integration where project_id = %s and is_git_source and deleted_at is null", [project_id]
    )
    row = await cursor.fetchone()
    return None if row is None else row["id"]


async def create(
    conn: Connection, box: SecretBox, integration: Integration, *, is_git_source: bool, is_sink: bool = False
) -> None:
    """Insert an integration and seal its secrets. A sink is told of the activities of its project from now on.

    A second Git source of a project fails on the index `integration_one_git_source`; callers look first.
    """
    await conn.execute(
        """
        insert into integration (id, project_id, type, is_git_source, is_sink, config, created_at, next_reconcile_at)
        values (%s, %s, %s, %s, %s, %s, %s, %s)
        """,
        [
            integration.id,
            integration.project_id,
            integration.type,
            is_git_source,
            is_sink,
            Jsonb(integration.config),
            integration.created_at,
            integration.next_reconcile_at,
        ],
    )
    await _save_secrets(conn, box, integration.id, integration.secrets)
    await notify.changed(conn, "integrations", integration.project_id)


async def update(
    conn: Connection,
    box: SecretBox,
    integration: Integration,
    *,
    config: JSON,
    secrets: Mapping[str, Secret | None] | None = None,
) -> None:
    """Replace the readable fields; set the secrets that are named, forget those named with None."""
    await conn.execute(
        "update integration set config = %s, updated_at = clock_timestamp() where id = %s",
        [Jsonb(config), integration.id],
    )
    given = secrets or {}
    forgotten = [name for name, value in given.items() if value is None]
    await conn.execute(
        "delete from integration_secret where integration_id = %s and name = any(%s)", [integration.id, forgotten]
    )
    await _save_secrets(conn, box, integration.id, {name: value for name, value in given.items() if value is not None})
    await notify.changed(conn, "integrations", integration.project_id)


async def retire(conn: Connection, box: SecretBox, id: str, secrets: Mapping[str, Secret], good_for: timedelta) -> None:
    """Keep secrets for so long, and then forget them. Whoever changes the integration tells listeners."""
    await _save_secrets(conn, box, id, secrets, good_for)


async def trim_retired(conn: Connection) -> None:
    """Forget the secrets that are good no more."""
    await conn.execute("delete from integration_secret where expires_at <= clock_timestamp()")


async def _save_secrets(
    conn: Connection, box: SecretBox, id: str, secrets: Mapping[str, Secret], good_for: timedelta | None = None
) -> None:
    for name, secret in secrets.items():
        await seal_secret(conn, box, id, name, secret, good_for)


async def seal_secret(
    conn: Connection, box: SecretBox, id: str, name: str, secret: Secret, good_for: timedelta | None = None
) -> None:
    """Store one secret of an integration, in place of the one that was there."""
    key, sealed = box.seal(secret.reveal(), secret_context(id, name))
    await conn.execute(_SEAL, [id, name, key, sealed, good_for])


_SEAL: Final = """
    insert into integration_secret (integration_id, name, key_id, sealed, expires_at)
    values (%s, %s, %s, %s, clock_timestamp() + %s::interval)
    on conflict (integration_id, name) do update
    set key_id = excluded.key_id, sealed = excluded.sealed, expires_at = excluded.expires_at
"""


async def save_state(conn: Connection, id: str, **columns: object) -> None:
    """Set what Tieline remembers of an integration: columns of `_STATE` only. Silent when it is gone.

    For one that was removed meanwhile, `next_reconcile_at` stays: that is when its hook is to be removed.
    """
    unknown = columns.keys() - _STATE
    if unknown:
        raise ValueError(f"not columns of an integration's state: {sorted(unknown)}")
    changes = [
        sql.SQL(_SETTING.get(name, "{} = {}")).format(sql.Identifier(name), sql.Placeholder(name)) for name in columns
    ]
    query = sql.SQL("update integration set {} where id = %(_id)s returning project_id")
    values = {name: _stored(value) for name, value in columns.items()}
    cursor = await conn.execute(query.format(sql.SQL(", ").join(changes)), {**values, "_id": id})
    row = await cursor.fetchone()
    if row is not None and columns.keys() & _CACHED_STATE:
        await notify.changed(conn, "integrations", row["project_id"])


_SETTING: Final[Mapping[str, LiteralString]] = {
    "next_reconcile_at": "{0} = case when deleted_at is null then {1} else {0} end",
}


async def postpone_removal(conn: Connection, id: str, until: datetime) -> None:
    """Have the hook of a removed integration removed later."""
    await conn.execute(
        "update integration set next_reconcile_at = %s where id = %s and deleted_at is not null", [until, id]
    )


async def leave_behind(conn: Connection, box: SecretBox, integration: Integration, id: str) -> None:
    """A copy under another id, removed already: what is left to do for it is to remove its hook at the host."""
    await conn.execute(
        """
        insert into integration (id, project_id, type, config, hook_id, created_at, deleted_at)
        values (%s, %s, %s, %s, %s, %s, clock_timestamp())
        """,
        [
            id,
            integration.project_id,
            integration.type,
            Jsonb(integration.config),
            integration.hook_id,
            integration.created_at,
        ],
    )
    await _save_secrets(conn, box, id, integration.secrets)


async def shares_hook(conn: Connection, integration: Integration) -> bool:
    """Whether another integration goes on using the same hook: its repository was only given by another name."""
    query = "select 1 from integration where hook_id = %s and id <> %s and deleted_at is null"
    cursor = await conn.execute(query, [integration.hook_id, integration.id])
    return await cursor.fetchone() is not None


async def mark_deleted(conn: Connection, integration: Integration) -> None:
    """Hide it at once; the row goes with `remove` when its hook at the host is gone."""
    await conn.execute(
        "update integration set deleted_at = clock_timestamp(), next_reconcile_at = null where id = %s",
        [integration.id],
    )
    await notify.changed(conn, "integrations", integration.project_id)


async def remove(conn: Connection, id: str) -> None:
    """Delete the row with its secrets and what hangs on them. Idempotent."""
    cursor = await conn.execute("delete from integration where id = %s returning project_id", [id])
    row = await cursor.fetchone()
    if row is not None:
        await notify.changed(conn, "integrations", row["project_id"])
