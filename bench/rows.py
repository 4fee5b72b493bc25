"""Rows in masses, put straight into the database of a running server."""

import psycopg

from tests.story.support import Server

_ACTIVITIES = """
    insert into activity (
        id, project_id, integration_id, environment_id, type, state, result, completion_percent, payload,
        description, text, created_at, started_at, completed_at
    )
    select
        substr(md5(%(project)s || number), 1, 13), %(project)s, %(integration)s, 'main',
        case when number <= %(rare)s then 'environment.merge' else 'environment.kind-' || number %% 10 end,
        'complete', case when number <= %(rare)s then 'failure' else 'success' end, 100,
        jsonb_build_object('user', jsonb_build_object('id', 'u', 'display_name', 'Ann'), 'text', repeat('x', 1000)),
        'Ann did something', 'Ann did something',
        now() - (%(count)s - number) * interval '1 second', now(), now()
    from generate_series(1, %(count)s) as number
"""

_ENVIRONMENTS = """
    insert into environment (
        project_id, id, name, machine_name, title, type, status, parent, is_main, head_commit, deployment, created_at
    )
    select
        %(project)s, 'topic-' || number, 'topic/' || number, 'topic-' || number || '-abcdefg', 'Topic ' || number,
        'development', case when number %% 2 = 0 then 'active' else 'inactive' end, 'main', false, repeat('a', 40),
        case when number %% 2 = 0 then jsonb_build_object(
            'commit', repeat('a', 40), 'urls', jsonb_build_array('https://topic-' || number || '.example/'),
            'deployed_at', '2026-01-01T00:00:00.000000+00:00') end,
        now()
    from generate_series(1, %(count)s) as number
"""

_DEPLOYMENTS = """
    insert into activity (
        id, project_id, environment_id, type, state, result, completion_percent, payload, created_at, started_at,
        completed_at
    )
    select
        substr(md5(%(project)s || id), 1, 13), %(project)s, id, 'environment.push', 'complete', 'success', 100,
        jsonb_build_object('text', repeat('x', 1000)), now() - row_number() over () * interval '1 second', now(), now()
    from environment where project_id = %(project)s and status = 'active'
"""

# One message for each webhook of the project, as after an outage of all of them; like the newest message there is.
_MESSAGES = """
    insert into message (project_id, cause_id, type, state, result, environment_id, body)
    select project_id, 'retry-' || number, type, state, result, environment_id, body
    from (select * from message where project_id = %(project)s order by id desc limit 1) as newest,
         generate_series(1, %(count)s / (
            select count(*) from integration where project_id = %(project)s and is_sink)) as number
"""

_RETRIES = """
    insert into delivery (
        project_id, integration_id, kind, message_id, cause_id, is_first, state, attempts, tries, planned_seconds)
    select message.project_id, integration.id, 'activity', message.id, message.cause_id, true, 'waiting', 1, 1, 5
    from message join integration using (project_id)
    where project_id = %(project)s and is_sink and cause_id like 'retry-%%'
"""

_MAIN = """
    insert into environment (
        project_id, id, name, machine_name, title, type, status, is_main, head_commit, created_at
    ) values (%(project)s, 'main', 'main', 'main-abcdefg', 'Main', 'production', 'active', true, repeat('a', 40), now())
"""


def database(server: Server) -> psycopg.Connection[tuple[object, ...]]:
    """The embedded database of a server, while it runs."""
    return psycopg.connect(dsn(server), autocommit=True)


def dsn(server: Server) -> str:
    """How the embedded database of a server is reached, while it runs."""
    folder = (server.folder / "data" / "postgres").resolve()
    return f"host={folder} dbname=postgres user=tieline"


def add_activities(server: Server, project: str, integration: str, count: int, rare: int) -> None:
    """Activities of one environment and one integration; only the `rare` oldest are of their type, or failed."""
    values = {"project": project, "integration": integration, "count": count, "rare": rare}
    with database(server) as connection:
        connection.execute(_ACTIVITIES, values)
        connection.execute("vacuum analyze activity")


def add_environments(server: Server, project: str, count: int) -> None:
    """`main`, and so many others below it, of which every other one was deployed by an activity."""
    with database(server) as connection:
        connection.execute(_MAIN, {"project": project})
        connection.execute(_ENVIRONMENTS, {"project": project, "count": count})
        connection.execute(_DEPLOYMENTS, {"project": project})
        connection.execute("vacuum analyze environment, activity")
        connection.execute("select pg_notify('tieline', %s)", [f"environments:{project}"])


def add_retries(server: Server, project: str, count: int) -> None:
    """So many deliveries that failed once and are due again, spread over the webhooks of a project."""
    values = {"project": project, "count": count}
    with database(server) as connection:
        with connection.transaction():
            connection.execute(_MESSAGES, values)
            connection.execute(_RETRIES, values)
        connection.execute("vacuum analyze message, delivery")
