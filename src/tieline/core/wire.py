"""Documents as the Upsun API writes them, without `_links`: those are the API's to add.

Every key of the vendor's schemas is present. What its clients cannot bear as null is never null.
"""

from typing import Final
from urllib.parse import urlsplit

from tieline.core.clock import iso
from tieline.core.documents import JSON, Activity, Deployment, DeploymentOutcome, Environment, Integration, Project

# How much of a log is sent with an activity, in bytes of UTF-8.
SENT_LOG: Final = 256 * 1024


def render_activity(activity: Activity, log_url: str) -> JSON:
    """An activity. `log_url` is where its log streams; the `log` property itself is only a pointer there."""
    document: JSON = {
        "id": activity.id,
        "created_at": iso(activity.created_at),
        "updated_at": iso(activity.updated_at),
        "type": activity.type,
        "parameters": activity.parameters,
        "project": activity.project_id,
        "environments": [activity.environment_id] if activity.environment_id else [],
        "state": activity.state,
        "result": activity.result,
        "failure_reason": activity.failure_reason,
        "started_at": iso(activity.started_at),
        "completed_at": iso(activity.completed_at),
        "cancelled_at": iso(activity.cancelled_at),
        "expires_at": iso(activity.expires_at),
        "completion_percent": activity.completion_percent,
        "timings": dict(activity.timings),
        "log": f"The log is streamed at {log_url}",
        "payload": activity.payload,
        "description": activity.description,
        "text": activity.text,
        "commands": list(activity.commands),
    }
    if activity.integration_id:
        document["integration"] = activity.integration_id
    return document


def activity_path(activity: Activity) -> str:
    """Its path, which is its project's even when it belongs to an integration or environment."""
    return f"/api/projects/{activity.project_id}/activities/{activity.id}"


def render_message(activity: Activity, log: str, *, is_cut: bool = False, public_url: str = "") -> JSON:
    """An activity as receivers are told of it: the vendor's document, with the text of its log.

    Of a log that is longer than `SENT_LOG` bytes in UTF-8, the end is sent: it tells what failed. `is_cut` says that
    `log` is such an end already. `public_url` is the root under which receivers reach this server.
    """
    path = activity_path(activity)
    root = public_url.rstrip("/")
    log_url = f"{root}{path}/log"
    return {
        **render_activity(activity, log_url),
        "log": _sent_log(log, log_url, is_cut=is_cut),
        "payload": _sent_payload(activity, public_url),
        "_links": {"self": {"href": root + path}, "log": {"href": f"{path}/log"}},
    }


def _sent_log(log: str, log_url: str, *, is_cut: bool) -> str:
    encoded = log.encode()
    if not is_cut and len(encoded) <= SENT_LOG:
        return log
    mark = f"[The beginning of this log is left out, for it is too long; the whole log is at {log_url}]\n"
    kept = encoded[-(SENT_LOG - len(mark.encode())) :]
    if len(kept) < len(encoded):
        kept = kept.partition(b"\n")[2] or kept
    # Where there was no line to begin with, a character may be cut in half.
    return mark + kept.decode(errors="ignore")


def _sent_payload(activity: Activity, public_url: str) -> JSON:
    """The payload, completed by what depends on where receivers find this server.

    How an integration is set up is for admins of the project, so only its name is sent.
    """
    payload = dict(activity.payload)
    if "project" in payload:
        payload["project"] = {**payload["project"], **_render_project_place(activity.project_id, public_url)}
    if "deployment" in payload:
        subscription = render_subscription(activity.project_id, public_url)
        payload["deployment"] = {**payload["deployment"], "subscription": subscription}
    if "integration" in payload:
        payload["integration"] = {name: payload["integration"].get(name) for name in ("id", "type")}
    return payload


def without_passwords(environment: JSON) -> JSON:
    """An environment's document for payloads, which are kept and travel, and for those who may only look."""
    return {**environment, "http_access": {**environment["http_access"], "basic_auth": {}}}


def render_environment(environment: Environment, project: Project, last: DeploymentOutcome | None = None) -> JSON:
    """An environment of `project`. `last` is how the last attempt to deploy it ended, where that is known."""
    return {
        "id": environment.id,
        "created_at": iso(environment.created_at),
        "updated_at": iso(environment.updated_at),
        "name": environment.name,
        "machine_name": environment.machine_name,
        "title": environment.title,
        "attributes": dict(environment.attributes),
        "type": environment.type,
        "parent": environment.parent,
        "default_domain": None,
        "has_domains": False,
        "clone_parent_on_create": environment.clone_parent_on_create,
        "deployment_target": "local",
        "is_pr": environment.is_pull,
        "has_remote": environment.has_remote,
        "awaiting_approval": environment.awaiting_approval,
        "status": environment.status,
        "http_access": environment.http_access,
        "enable_smtp": environment.enable_smtp,
        "restrict_robots": environment.restrict_robots,
        "edge_hostname": f"{environment.machine_name}-{project.id}.{project.region}",
        "deployment_state": render_deployment_state(environment.deployment, last),
        "sizing": None,
        "resources_overrides": {},
        "max_instance_count": None,
        "last_active_at": iso(environment.last_active_at),
        "last_backup_at": None,
        "project": environment.project_id,
        "is_main": environment.is_main,
        "is_dirty": environment.has_pending_activity,
        "has_staged_activities": False,
        "can_rolling_deploy": False,
        "supports_rolling_deployments": False,
        "has_code": environment.head_commit is not None,
        "head_commit": environment.head_commit,
        "merge_info": {"commits_ahead": None, "commits_behind": None, "parent_ref": None},
        "has_deployment": environment.deployment is not None,
        "supports_restrict_robots": False,
    }


def render_deployment_state(deployment: Deployment | None, last: DeploymentOutcome | None = None) -> JSON | None:
    """How the last deployment went; None before there was one.

    `deployment` is the last that succeeded, `last` how the last one ended.
    """
    failure = last if last is not None and last.result == "failure" else None
    if failure is not None:
        at = failure.completed_at
    elif deployment is not None:
        at = deployment.deployed_at
    else:
        return None
    return {
        "last_state_update_successful": failure is None,
        "last_deployment_successful": failure is None,
        "last_deployment_failure_reason": failure.failure_reason if failure else None,
        "last_deployment_commands": list(last.commands) if last else [],
        "last_deployment_at": iso(at),
        "last_autoscale_up_at": None,
        "last_autoscale_down_at": None,
        "last_maintenance_at": None,
        "crons": {"enabled": False, "status": "sleeping"},
    }


def render_deployment(deployment: Deployment) -> JSON:
    """A deployment as activities and deployers see it."""
    return {
        "commit": deployment.commit,
        "urls": list(deployment.urls),
        "deployed_at": iso(deployment.deployed_at),
    }


def render_project(project: Project, public_url: str) -> JSON:
    """A project. `public_url` is the root under which clients reach this server."""
    return {**render_project_fields(project), **_render_project_place(project.id, public_url)}


def _render_project_place(project_id: str, public_url: str) -> JSON:
    """What follows from where a project is."""
    host = urlsplit(public_url).hostname or "localhost"
    return {
        "status": {"code": "provisioned", "message": "ok"},
        # Clients need the shape of an SSH remote; Tieline itself serves no Git.
        "repository": {"url": f"{project_id}@git.{host}:{project_id}.git", "client_ssh_key": None},
        "default_domain": None,
        "subscription": render_subscription(project_id, public_url),
        "maintenance": None,
    }


def render_project_fields(project: Project) -> JSON:
    """What is the project's own; activities keep just this."""
    return {
        "id": project.id,
        "created_at": iso(project.created_at),
        "updated_at": iso(project.updated_at),
        "attributes": dict(project.attributes),
        "title": project.title,
        "description": project.description,
        "owner": project.owner,
        "namespace": None,
        "organization": project.organization,
        "default_branch": project.default_branch,
        "timezone": project.timezone,
        "region": project.region,
    }


def render_subscription(project_id: str, public_url: str) -> JSON:
    """The vendor's billing facts, with limits that never get in the way."""
    unlimited = {"legacy_development": False, "max_cpu": None, "max_memory": None, "max_environments": None}
    return {
        "license_uri": f"{public_url.rstrip('/')}/licenses/{project_id}",
        "plan": "development",
        "environments": 10_000,
        "storage": 5120,
        "included_users": 1,
        "subscription_management_uri": "",
        "restricted": False,
        "suspended": False,
        "user_licenses": 1,
        "resources": {"container_profiles": False, "production": unlimited, "development": unlimited},
        "resource_validation_url": "",
        "image_types": {"only": [], "exclude": []},
    }


def render_project_settings() -> JSON:
    """How every project works here; the same for all of them."""
    return {
        "environment_name_strategy": "name-and-hash",
        "concurrency_limits": {"default": 2, "integration": 4},
        "sizing_api_enabled": False,
        "enable_guaranteed_resources": False,
        "enable_paused_environments": True,
        "allow_manual_deployments": False,
        "allow_rolling_deployments": False,
        "enable_codesource_integration_push": False,
    }


def render_integration_fields(integration: Integration) -> JSON:
    """An integration as activity payloads carry it: its readable fields, never a secret."""
    return {
        "id": integration.id,
        "created_at": iso(integration.created_at),
        "updated_at": iso(integration.updated_at),
        "type": integration.type,
        **integration.config,
    }
