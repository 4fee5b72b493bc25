"""`tieline integration`: what a project is tied to. What can be set of a type is learned from the server."""

from collections.abc import Sequence
from typing import Annotated, Any, Final
from urllib.parse import urljoin

import typer

from tieline.cli import fields, show
from tieline.cli.ask import confirm, is_attended
from tieline.cli.client import Answer, Client, connect
from tieline.cli.failure import Failure, Status
from tieline.cli.fields import Field
from tieline.cli.follow import wait_for
from tieline.cli.options import SERVER, AsJSON, NoWait, Project, Server, Yes, connect_project
from tieline.cli.sources import PROMPT, Source, read_source
from tieline.cli.text import local_time, printable
from tieline.cli.typed import TypeOptions, Values

app = typer.Typer(no_args_is_help=True, help="Git hosts and other services that a project is tied to.")

_COLUMNS: Final = (
    show.Column("ID", fit="keep"),
    show.Column("TYPE", fit="keep"),
    show.Column("TARGET"),
    show.Column("CREATED", fit="keep"),
)
# What tells an integration from others of its type, most telling first.
_TARGETS: Final = ("repository", "project", "url", "host", "channel", "recipients", "service_id")
# The fields of a type are not known before its name is read, so what is unknown then is kept for a second look.
_OPEN_ENDED: Final = {"allow_extra_args": True, "ignore_unknown_options": True}

Identifier = Annotated[
    str, typer.Argument(metavar="ID", help="The integration; its type, where the project has one of it.")
]
Help = Annotated[bool, typer.Option("--help", help="Show what can be set.")]


@app.command("list")
def list_integrations(*, server: Server = SERVER, project: Project = None, as_json: AsJSON = False) -> None:
    """List the integrations of a project."""
    answer = connect_project(server, project).get("integrations")
    show.listing(
        answer, _COLUMNS, _row, empty="There are none yet; see `tieline integration add --help`.", as_json=as_json
    )


def _row(integration: dict[str, Any]) -> Sequence[str]:
    target = next((integration[name] for name in _TARGETS if integration.get(name)), "")
    shown = target if isinstance(target, str) else ", ".join(target)
    return integration["id"], integration["type"], shown, local_time(integration["created_at"])


@app.command("get")
def get_integration(
    integration: Identifier, *, server: Server = SERVER, project: Project = None, as_json: AsJSON = False
) -> None:
    """Show one integration, with the URL of its webhook."""
    _show(find_integration(connect_project(server, project), integration), as_json=as_json)


def find_integration(client: Client, wanted: str) -> Answer:
    """An integration by its id, or by its type when there is only one of that."""
    try:
        return client.get("integrations", wanted)
    except Failure as failure:
        if failure.status != Status.NOT_FOUND:
            raise
        matching = [each for each in client.get("integrations").items if each["type"] == wanted]
        if len(matching) != 1:
            raise
    return client.get("integrations", matching[0]["id"])


def _show(answer: Answer, *, as_json: bool) -> None:
    show.entity(answer, as_json=as_json, hook_url=_hook_url(answer.entity))


def _hook_url(integration: dict[str, Any]) -> str:
    links = integration["_links"]
    return urljoin(links["self"]["href"], links["#hook"]["href"]) if "#hook" in links else ""


@app.command("add", context_settings=_OPEN_ENDED, add_help_option=False)
def add_integration(
    ctx: typer.Context,
    type_key: Annotated[str | None, typer.Argument(metavar="TYPE", help="The type; it comes first.")] = None,
    *,
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
    no_wait: NoWait = False,
    wants_help: Help = False,
) -> None:
    """Add an integration, and wait for its first synchronisation where it has one.

    `tieline integration add TYPE --help` shows what can be set of a type.
    """
    if type_key is None:
        _introduce(ctx, server, wants_help=wants_help)
        return
    document = _describe(server)
    options = TypeOptions(type_key, _fields_of(document, type_key))
    name = f"add {printable(type_key)}"
    if wants_help:
        typer.echo(options.describe(ctx, name, fields.types(document)[type_key]))
        return
    given = options.read(ctx, name)
    client = connect_project(server, project)
    body = fields.compose(_with_secrets(given, options))
    _finish(client, client.post("integrations", body={"type": type_key, **body}), as_json=as_json, no_wait=no_wait)


def _introduce(ctx: typer.Context, server: str, *, wants_help: bool) -> None:
    """The help text without a type, and which types there are to choose from."""
    if not wants_help:
        raise Failure(Status.USAGE, "Which type? `tieline integration add --help` shows those that the server has.")
    typer.echo(ctx.get_help())
    try:
        found = fields.types(_describe(server))
    except Failure as failure:
        show.remark(f"Which types there are is not known: {failure.sentences[0]}")
        return
    typer.echo(f"\nTypes of {server}:")
    show.table((show.Column(""), show.Column("")), found.items())


def _describe(server: str) -> dict[str, Any]:
    """The server's OpenAPI document. Raises `Failure` when it is none of Tieline's."""
    document: dict[str, Any] = connect(server).get("openapi.json").document
    if not fields.is_ours(document):
        raise Failure(Status.UNREACHABLE, f"{server} answers, but not as Tieline does. Is TIELINE_SERVER right?")
    return document


def _fields_of(document: dict[str, Any], type_key: str) -> list[Field]:
    known = fields.types(document)
    if type_key.startswith("-"):
        raise Failure(Status.USAGE, "The type comes first: tieline integration add TYPE --option value")
    if type_key not in known:
        sentence = f"There is no integration type {type_key!r}{fields.suggest(type_key, known)}"
        raise Failure(Status.USAGE, sentence, f"There are: {', '.join(known)}.")
    return fields.fields(document, type_key)


def _with_secrets(given: Values, options: TypeOptions, present: dict[str, Any] | None = None) -> Values:
    """The values with every secret read from where it is, and those that are needed asked for."""
    asked = fields.secrets_to_ask(options.known, given, present)
    if asked and not is_attended():
        needed = ", ".join(f"{options.name_of(each)} @FILE|env:NAME|-" for each in asked)
        raise Failure(Status.USAGE, f"This needs a secret more: {needed}")
    wanted = given | dict.fromkeys((each.path for each in asked), PROMPT)
    _refuse_shared_input(wanted)
    return {
        path: read_source(value, ".".join(path)) if isinstance(value, Source) else value
        for path, value in wanted.items()
    }


def _refuse_shared_input(values: Values) -> None:
    readers = [".".join(path) for path, value in values.items() if value == Source("stdin")]
    if len(readers) > 1:
        raise Failure(Status.USAGE, f"Standard input can hold only one of {' and '.join(readers)}.")


def _finish(client: Client, answer: Answer, *, as_json: bool, no_wait: bool) -> None:
    _show(answer, as_json=as_json)
    show.warnings(answer)
    if not no_wait:
        wait_for(client, answer.activities)


@app.command("update", context_settings=_OPEN_ENDED, add_help_option=False)
def update_integration(
    ctx: typer.Context,
    integration: Annotated[str | None, typer.Argument(metavar="ID", help="The integration; it comes first.")] = None,
    *,
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
    no_wait: NoWait = False,
    wants_help: Help = False,
) -> None:
    """Change an integration; only the fields that are given.

    `tieline integration update ID --help` shows what can be set.
    """
    if integration is None:
        _ask_for_one(ctx, wants_help=wants_help)
        return
    client = connect_project(server, project)
    present = find_integration(client, integration).entity
    document = _describe(server)
    type_key, name = present["type"], f"update {printable(integration)}"
    options = TypeOptions(type_key, _fields_of(document, type_key), changing=True)
    if wants_help:
        typer.echo(options.describe(ctx, name, fields.types(document)[type_key]))
        return
    given = options.read(ctx, name)
    if not given:
        raise Failure(Status.USAGE, f"There is nothing to change; see `tieline integration {name} --help`.")
    body = fields.compose(_with_secrets(given, options, present), present)
    _finish(client, client.patch("integrations", present["id"], body=body), as_json=as_json, no_wait=no_wait)


def _ask_for_one(ctx: typer.Context, *, wants_help: bool) -> None:
    if not wants_help:
        raise Failure(Status.USAGE, "Which integration? `tieline integration list` shows them.")
    typer.echo(ctx.get_help())


@app.command("delete")
def delete_integration(
    integration: Identifier,
    *,
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
    no_wait: NoWait = False,
    yes: Yes = False,
) -> None:
    """Remove an integration, and its webhook at the host. The environments stay."""
    client = connect_project(server, project)
    present = find_integration(client, integration).entity
    confirm(f"Remove the {present['type']} integration {present['id']}?", agreed=yes)
    answer = client.delete("integrations", present["id"])
    show.done(answer, f"The integration {present['id']} is removed.", as_json=as_json)
    if not no_wait:
        wait_for(client, answer.activities)


@app.command("validate")
def validate_integration(
    integration: Identifier, *, server: Server = SERVER, project: Project = None, as_json: AsJSON = False
) -> None:
    """Ask the outside service whether the integration can work; 4 when not, with what is missing."""
    client = connect_project(server, project)
    answer = client.post("integrations", find_integration(client, integration).entity["id"], "validate")
    show.done(answer, "The integration can work.", as_json=as_json)
    show.warnings(answer)


@app.command("sync")
def synchronise_integration(
    integration: Identifier,
    *,
    confirm_prune: Annotated[
        bool, typer.Option("--confirm-prune", help="Also do the removals that were held back as too many.")
    ] = False,
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
    no_wait: NoWait = False,
) -> None:
    """Read the Git host now, and wait until the environments follow it."""
    client = connect_project(server, project)
    body = {"confirm_prune": confirm_prune}
    answer = client.post("integrations", find_integration(client, integration).entity["id"], "sync", body=body)
    if as_json:
        show.document(answer)
    if not no_wait:
        wait_for(client, answer.activities)


@app.command("pause")
def pause_integration(
    integration: Identifier,
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for those who wonder later.")] = "",
    server: Server = SERVER,
    project: Project = None,
    as_json: AsJSON = False,
) -> None:
    """Tell an integration nothing until it is resumed. What happens meanwhile is kept for it."""
    client = connect_project(server, project)
    found = find_integration(client, integration).entity["id"]
    answer = client.post("integrations", found, "pause", body={"reason": reason})
    show.done(answer, _paused(answer, found), as_json=as_json)


def _paused(answer: Answer, integration: str) -> str:
    receiver, resume = answer.entity, f"tieline integration resume {integration}"
    if not answer.activities:
        moment = local_time(receiver["paused_at"])
        return f"It is paused already, since {moment}: {receiver['paused_because']} To go on: {resume}"
    held = receiver["deliveries"]["held"]
    return f"Paused. Deliveries that are held: {held}. What happens from now on is kept too. To go on: {resume}"


@app.command("resume")
def resume_integration(
    integration: Identifier, *, server: Server = SERVER, project: Project = None, as_json: AsJSON = False
) -> None:
    """Tell a paused integration of activities again, first of those that were kept for it."""
    client = connect_project(server, project)
    found = find_integration(client, integration).entity["id"]
    answer = client.post("integrations", found, "resume")
    sent = f"Resumed. Deliveries that were held and go out now: {answer.document['deliveries']}"
    show.done(answer, sent if answer.activities else "It is not paused.", as_json=as_json)
