"""The kinds of activities: one pure constructor each.

Descriptions are HTML for clients that show it, texts the same for those that don't. Everything that comes
from outside (branches, titles, names) is escaped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from html import escape
from typing import Final

from tieline.core.clock import iso
from tieline.core.documents import (
    JSON,
    Activity,
    Actor,
    Commit,
    Environment,
    Integration,
    NewActivity,
    Project,
)
from tieline.core.remote import Scope
from tieline.core.wire import (
    render_environment,
    render_integration_fields,
    render_project_fields,
    without_passwords,
)

PUSH: Final = "environment.push"
ACTIVATE: Final = "environment.activate"
DEACTIVATE: Final = "environment.deactivate"
DELETE: Final = "environment.delete"
SYNCHRONIZE: Final = "environment.synchronize"
REDEPLOY: Final = "environment.redeploy"
PAUSE: Final = "environment.pause"
RESUME: Final = "environment.resume"

CANNOT_BE_CANCELLED: Final = "The activity cannot be cancelled in its current state."
SHOWN_COMMITS: Final = 20


def environment_key(project_id: str, environment_id: str) -> str:
    """The concurrency key of everything that happens to one environment."""
    return f"environment:{project_id}/{environment_id}"


def integration_key(integration_id: str) -> str:
    """The concurrency key of everything that one integration does."""
    return f"integration:{integration_id}"


def is_cancellable(activity: Activity) -> bool:
    """Whether a person may ask for its end: a removal or a hook registration is never left half done."""
    if activity.state not in ("pending", "in_progress"):
        return False
    return activity.type != DELETE and not activity.type.endswith(".register_hooks")


def commit_of(activity: Activity, environment: Environment) -> str | None:
    """The commit that an activity is about; a redeploy is about the one that is deployed when it runs."""
    if activity.type == REDEPLOY and environment.deployment is not None:
        return environment.deployment.commit
    return activity.parameters.get("commit") or environment.head_commit


def push(
    project: Project,
    environment: Environment,
    commits: Sequence[Commit],
    total: int,
    actor: Actor,
    parameters: Mapping[str, object] | None = None,
) -> NewActivity:
    """New commits to build. `commits` is newest first and may be cut; `total` counts them all.

    `parameters.commit` is what gets built; it defaults to the environment's head. Receivers know it by the vendor's
    name, `new_commit`; `parameters.old_commit` is what was built before, None where nothing was.
    """
    payload = {"commits": [render_commit(each) for each in commits[:SHOWN_COMMITS]], "commits_count": total}
    given = {"commit": environment.head_commit, "old_commit": None, **(parameters or {})}
    named = {**given, "new_commit": given["commit"]}
    return _environment(PUSH, "pushed to", project, environment, actor, named, payload)


def activate(project: Project, environment: Environment, actor: Actor) -> NewActivity:
    """Build and deploy an inactive environment."""
    return _environment(ACTIVATE, "activated environment", project, environment, actor)


def deactivate(project: Project, environment: Environment, actor: Actor) -> NewActivity:
    """Take down what runs, and keep the code."""
    return _environment(DEACTIVATE, "deactivated environment", project, environment, actor)


def delete(project: Project, environment: Environment, actor: Actor) -> NewActivity:
    """Remove the environment with everything that belongs to it."""
    return _environment(DELETE, "deleted environment", project, environment, actor)


def redeploy(project: Project, environment: Environment, actor: Actor) -> NewActivity:
    """Deploy again what is deployed."""
    commit = environment.deployment.commit if environment.deployment else environment.head_commit
    return _environment(REDEPLOY, "redeployed environment", project, environment, actor, {"commit": commit})


def pause(project: Project, environment: Environment, actor: Actor) -> NewActivity:
    """Stop what runs, and keep its data."""
    return _environment(PAUSE, "paused environment", project, environment, actor)


def resume(project: Project, environment: Environment, actor: Actor) -> NewActivity:
    """Start a paused environment again; at what was approved, where a stranger pushed since."""
    approved = environment.deployment if environment.awaiting_approval else None
    commit = approved.commit if approved else environment.head_commit
    return _environment(RESUME, "resumed environment", project, environment, actor, {"commit": commit})


def synchronize(project: Project, environment: Environment, actor: Actor) -> NewActivity:
    """Copy the parent's data into the environment."""
    parameters = {"synchronize_data": True, "synchronize_code": False, "from": environment.parent}
    return _environment(SYNCHRONIZE, "synced data to", project, environment, actor, parameters)


def environment_updated(kind: str, project: Project, environment: Environment, actor: Actor) -> NewActivity:
    """A record of a changed setting: `kind` is `http_access`, `restrict_robots`, `smtp`, ..."""
    verb = f"updated {kind.replace('_', ' ')} of"
    activity_type = f"environment.update.{kind}"
    description, text = _sentence(actor, verb, *_environment_names(environment))
    return NewActivity(
        project_id=project.id,
        environment_id=environment.id,
        type=activity_type,
        description=description,
        text=text,
        payload=_payload(project, actor, environment=environment),
    )


def register_hooks(project: Project, integration: Integration, title: str, actor: Actor) -> NewActivity:
    """Put our webhook at the Git host; `title` is the integration type's."""
    place = str(integration.config.get("repository") or title)
    text = f"Registering hooks on {title} repository {place}"
    return _integration("register_hooks", text, project, integration, actor)


def fetch(
    project: Project,
    integration: Integration,
    title: str,
    actor: Actor,
    parameters: Mapping[str, object],
) -> NewActivity:
    """One reconcile with the Git host. `parameters` come from `fetch_parameters`."""
    place = str(integration.config.get("repository") or title)
    text = f"Fetching from {title} repository {place}"
    return _integration("fetch", text, project, integration, actor, parameters)


def integration_paused(
    project: Project, integration: Integration, title: str, because: str, actor: Actor
) -> NewActivity:
    """A record that an integration is told nothing from now on; `because` is a sentence."""
    text = f"Paused the integration {title} ({integration.id}): {because}"
    return _record("pause", text, project, integration, actor)


def integration_resumed(project: Project, integration: Integration, title: str, held: int, actor: Actor) -> NewActivity:
    """A record that a paused integration goes on, with `held` deliveries that were kept for it."""
    text = f"Resumed the integration {title} ({integration.id}); deliveries that were held: {held}"
    return _record("resume", text, project, integration, actor)


def integration_validated(project: Project, integration: Integration, title: str, actor: Actor) -> NewActivity:
    """A record that it was asked whether an integration can work; it stands among its deliveries."""
    text = f"Validated the integration {title} ({integration.id})"
    return replace(_record("validate", text, project, integration, actor), type=delivery_type(integration.type))


def delivery_of(activity: Activity) -> int | None:
    """The number of the delivery that an activity is; None for all other activities."""
    number = activity.parameters.get("delivery")
    return int(number) if activity.integration_id is not None and number is not None else None


def delivery_type(integration_type: str) -> str:
    """The type of the activity that a delivery is."""
    return f"integration.{integration_type}"


def _record(verb: str, text: str, project: Project, integration: Integration, actor: Actor) -> NewActivity:
    return replace(_integration(verb, text, project, integration, actor), concurrency_key=None)


def fetch_parameters(scope: Scope, reason: str, *, confirm_prune: bool = False) -> JSON:
    """What a fetch is to look at, and why: `hook`, `timer`, `created`, `updated`, `requested`."""
    pulls = "all" if scope.pulls == "all" else sorted(scope.pulls)
    return {
        "scope": {"pulls": pulls, "repository": scope.repository},
        "reason": reason,
        "confirm_prune": confirm_prune,
    }


def fetch_scope(parameters: Mapping[str, object]) -> Scope:
    """The scope of a fetch's parameters; everything where they name none."""
    scope = parameters.get("scope")
    if not isinstance(scope, Mapping):
        return Scope()
    pulls = scope.get("pulls", "all")
    return Scope(
        pulls="all" if pulls == "all" else frozenset(int(number) for number in pulls),
        repository=bool(scope.get("repository", True)),
    )


def merge_fetch_parameters(waiting: Mapping[str, object], added: Mapping[str, object]) -> JSON:
    """The parameters of one fetch that does the work of both; the first reason stays."""
    return fetch_parameters(
        fetch_scope(waiting).merge(fetch_scope(added)),
        str(waiting.get("reason") or added.get("reason") or ""),
        confirm_prune=bool(waiting.get("confirm_prune") or added.get("confirm_prune")),
    )


def project_created(project: Project, actor: Actor) -> NewActivity:
    """A record of a new project."""
    return _project("project.create", "created project", project, actor, {})


def project_modified(project: Project, field: str, actor: Actor, old: object, new: object) -> NewActivity:
    """A record of a changed field, e.g. `title`."""
    verb = f"changed the {field.replace('_', ' ')} of project"
    return _project(f"project.modify.{field}", verb, project, actor, {"old": old, "new": new})


def integration_actor(integration: Integration, title: str) -> Actor:
    """Who acts when nobody of this server does: the Git host, through its integration."""
    return Actor(integration.id, f"{title} integration", integration.created_at, integration.updated_at)


def actor_of(activity: Activity) -> Actor:
    """Who caused an activity; what it causes in turn was caused by the same."""
    user = activity.payload["user"]
    moments = (user.get("created_at"), user.get("updated_at"))
    return Actor(
        user["id"], user["display_name"], *(datetime.fromisoformat(each) if each else None for each in moments)
    )


def render_commit(commit: Commit) -> JSON:
    """A commit as `payload.commits` shows it; the date is seconds since the epoch."""
    return {
        "sha": commit.sha,
        "author": {"date": commit.date, "name": commit.author_name, "email": commit.author_email},
        "parents": list(commit.parents),
        "message": commit.message,
    }


def _environment(
    activity_type: str,
    verb: str,
    project: Project,
    environment: Environment,
    actor: Actor,
    parameters: Mapping[str, object] | None = None,
    more_payload: Mapping[str, object] | None = None,
) -> NewActivity:
    description, text = _sentence(actor, verb, *_environment_names(environment))
    return NewActivity(
        project_id=project.id,
        environment_id=environment.id,
        type=activity_type,
        description=description,
        text=text,
        parameters={
            "user": actor.id,
            "environment": environment.id,
            "commit": environment.head_commit,
            **(parameters or {}),
        },
        payload={**_payload(project, actor, environment=environment), **(more_payload or {})},
        concurrency_key=environment_key(project.id, environment.id),
        is_production=environment.type == "production",
    )


def _integration(
    verb: str,
    text: str,
    project: Project,
    integration: Integration,
    actor: Actor,
    parameters: Mapping[str, object] | None = None,
) -> NewActivity:
    return NewActivity(
        project_id=project.id,
        integration_id=integration.id,
        type=f"integration.{integration.type}.{verb}",
        description=escape(text),
        text=text,
        parameters=dict(parameters or {}),
        payload=_payload(project, actor, integration=integration),
        queue="integrations",
        concurrency_key=integration_key(integration.id),
    )


def _project(
    activity_type: str, verb: str, project: Project, actor: Actor, parameters: Mapping[str, object]
) -> NewActivity:
    marked = f"<strong>{escape(project.title)}</strong>"
    description, text = _sentence(actor, verb, marked, f"**{project.title}**")
    return NewActivity(
        project_id=project.id,
        type=activity_type,
        description=description,
        text=text,
        parameters=dict(parameters),
        payload=_payload(project, actor),
    )


def _sentence(actor: Actor, verb: str, marked_object: str, plain_object: str) -> tuple[str, str]:
    marked_actor = f'<user data-id="{escape(actor.id)}">{escape(actor.display_name)}</user>'
    return f"{marked_actor} {verb} {marked_object}", f"{actor.display_name} {verb} {plain_object}"


def _environment_names(environment: Environment) -> tuple[str, str]:
    marked = f'<environment data-id="{escape(environment.id)}">{escape(environment.title)}</environment>'
    return marked, f"**{environment.title}**"


def _payload(
    project: Project,
    actor: Actor,
    *,
    environment: Environment | None = None,
    integration: Integration | None = None,
) -> JSON:
    payload: JSON = {
        "user": {
            "id": actor.id,
            "display_name": actor.display_name,
            "created_at": iso(actor.created_at),
            "updated_at": iso(actor.updated_at),
        },
        "project": render_project_fields(project),
    }
    if environment is not None:
        payload["environment"] = without_passwords(render_environment(environment, project))
    if integration is not None:
        payload["integration"] = render_integration_fields(integration)
    return payload
