"""Documents with their links. A link named `#op` says that the operation is allowed now.

`self` is absolute and every other link relative: the one form from which all clients get full hook URLs.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from tieline.core import wire
from tieline.core.clock import iso
from tieline.core.deployments import CURRENT, deployment_of, render_current
from tieline.core.documents import (
    JSON,
    Account,
    Activity,
    APIToken,
    DeploymentOutcome,
    Environment,
    Integration,
    Project,
    Variable,
)
from tieline.core.kinds import is_cancellable
from tieline.integrations.base import IntegrationType, Registry
from tieline.integrations.fields import render_config
from tieline.store.accounts import Grant

_PREFIX: Final = "/api/projects"


def _link(href: str) -> JSON:
    return {"href": href}


def _path(*parts: str) -> str:
    return "/".join([_PREFIX, *(quote(part, safe="") for part in parts)])


def integration_path(project_id: str, id: str) -> str:
    """The path of an integration, as links have it."""
    return _path(project_id, "integrations", id)


@dataclass(frozen=True)
class Writer:
    """Writes documents for clients that reach this server at `public_url`."""

    public_url: str
    registry: Registry

    def _self(self, path: str) -> JSON:
        return _link(self.public_url.rstrip("/") + path)

    def project(self, project: Project, *, is_admin: bool) -> JSON:
        """A project; admins get its operations too."""
        path = _path(project.id)
        rooms = (
            "environments",
            "environment-types",
            "activities",
            "capabilities",
            *(("integrations",) if is_admin else ()),
        )
        links = {
            "self": self._self(path),
            **({"#edit": _link(path)} if is_admin else {}),
            **{room: _link(f"{path}/{room}") for room in rooms},
        }
        return {**wire.render_project(project, self.public_url), "_links": links}

    def project_settings(self, project_id: str) -> JSON:
        """The settings that clients look at before they offer an operation."""
        links = {"self": self._self(_path(project_id, "settings"))}
        return {**wire.render_project_settings(), "_links": links}

    def environment(
        self, environment: Environment, project: Project, last: DeploymentOutcome | None, *, is_admin: bool
    ) -> JSON:
        """An environment, with how its `last` deployment went; admins get the operations that are allowed now."""
        path = _path(project.id, "environments", environment.id)
        links = {"self": self._self(path)}
        if is_admin:
            links |= {f"#{each}": _link(f"{path}/{each}") for each in environment_operations(environment)}
            links |= {each: _link(path) for each in _own_operations(environment)}
        deployed = deployment_of(environment)
        if deployed is not None and deployed.urls:
            links["public-url"] = _link(deployed.urls[0])
        document = wire.render_environment(environment, project, last)
        return {**(document if is_admin else wire.without_passwords(document)), "_links": links}

    def deployment(self, environment: Environment, project: Project, *, is_admin: bool) -> JSON | None:
        """What runs of an environment now; None when nothing does."""
        found = deployment_of(environment)
        if found is None:
            return None
        document = render_current(environment, found, project, self.public_url)
        path = _path(project.id, "environments", environment.id, "deployments", CURRENT)
        links = {"self": self._self(path)}
        return {**(document if is_admin else wire.without_passwords(document)), "_links": links}

    def environment_type(self, project_id: str, id: str) -> JSON:
        """One of the types that environments are of."""
        return {"id": id, "attributes": {}, "_links": {"self": self._self(_path(project_id, "environment-types", id))}}

    def environment_settings(self, project_id: str, environment_id: str) -> JSON:
        """The settings that the vendor's command line asks for."""
        path = _path(project_id, "environments", environment_id, "settings")
        return {"enable_manual_deployments": False, "_links": {"self": self._self(path)}}

    def activity(self, activity: Activity, *, is_admin: bool) -> JSON:
        """An activity, at its project's path even when it belongs to an integration or environment."""
        path = wire.activity_path(activity)
        links = {"self": self._self(path), "log": _link(f"{path}/log")}
        if is_admin and is_cancellable(activity):
            links["#cancel"] = _link(f"{path}/cancel")
        log_url = f"{self.public_url.rstrip('/')}{path}/log"
        document = {**wire.render_activity(activity, log_url), "_links": links}
        if not is_admin:
            # How an integration is set up is for admins, from whatever side it is looked at.
            document["payload"] = {name: value for name, value in activity.payload.items() if name != "integration"}
        return document

    def integration(self, integration: Integration) -> JSON:
        """An integration, without anything that is write-only."""
        kind = self.registry[integration.type]
        path = integration_path(integration.project_id, integration.id)
        links = {
            "self": self._self(path),
            "#edit": _link(path),
            "#delete": _link(path),
            "#validate": _link(f"{path}/validate"),
            **({"#hook": _link(f"{path}/hook")} if kind.hook_format else {}),
            **({"#sync": _link(f"{path}/sync")} if kind.is_followed else {}),
            **{each: _link(f"{path}/{each.removeprefix('#')}") for each in _delivery_links(kind)},
        }
        return {
            "id": integration.id,
            "created_at": iso(integration.created_at),
            "updated_at": iso(integration.updated_at),
            "type": integration.type,
            "role": "",
            **render_config(kind.fields, integration.config, integration.secrets),
            "_links": links,
        }

    def git(self, project_id: str, document: JSON, *parts: str) -> JSON:
        """An object of the project's repository, with its link: clients find the project by that."""
        return {**document, "_links": {"self": self._self(_path(project_id, "git", *parts))}}

    def variable(self, variable: Variable, project_id: str) -> JSON:
        """A variable of an integration, without its value if that is sensitive."""
        path = _path(project_id, "integrations", variable.integration_id, "variables", variable.name)
        return {
            "id": variable.name,
            "created_at": iso(variable.created_at),
            "updated_at": iso(variable.updated_at),
            "name": variable.name,
            **({} if variable.is_sensitive else {"value": variable.value.reveal()}),
            "attributes": dict(variable.attributes),
            "is_json": variable.is_json,
            "is_sensitive": variable.is_sensitive,
            "_links": {"self": self._self(path), "#edit": _link(path), "#delete": _link(path)},
        }

    def hook_url(self, integration: Integration) -> str:
        """Where the host sends the integration's hooks."""
        path = integration_path(integration.project_id, integration.id)
        return f"{self.public_url.rstrip('/')}{path}/hook"


def _delivery_links(kind: IntegrationType) -> list[str]:
    """What there is about the deliveries of an integration of this type. Pausing twice does no harm."""
    if kind.sink is not None:
        return ["deliveries", "receiver", "#pause", "#resume"]
    return ["deliveries", "receiver"] if kind.status_reporter is not None else []


def environment_operations(environment: Environment) -> list[str]:
    """The operations with paths of their own that are allowed now."""
    if environment.status == "inactive":
        return ["activate"]
    if environment.status == "paused":
        return ["resume", "deactivate"]
    if environment.status != "active":
        return []
    return [
        # A newer commit of a fork waits for approval, while the one that was approved runs.
        *(["activate"] if environment.awaiting_approval else []),
        *(["deactivate"] if not environment.is_main else []),
        *(["pause"] if environment.deployment and not environment.is_main else []),
        *(["synchronize"] if environment.parent else []),
        *(["redeploy"] if environment.deployment else []),
    ]


def _own_operations(environment: Environment) -> list[str]:
    """The operations on the environment's own path that are allowed now."""
    if environment.status == "deleting":
        return []
    return ["#edit", *(["#delete"] if is_deletable(environment) else [])]


def is_deletable(environment: Environment) -> bool:
    """Whether a person may delete it: first it must be taken down, and the production environment stays."""
    return environment.status == "inactive" and not environment.is_main


def render_user(account: Account) -> JSON:
    """A user as the vendor's account service shows it."""
    return {
        "id": account.id,
        "deactivated": False,
        "namespace": "tieline",
        "username": account.username,
        "email": account.email,
        "email_verified": True,
        "first_name": account.first_name,
        "last_name": account.last_name,
        "picture": "",
        "company": "",
        "website": "",
        "country": "",
        "created_at": iso(account.created_at),
        "updated_at": iso(account.updated_at or account.created_at),
        "consented_at": None,
        "consent_method": "opt-in",
        "phone_number_verified": True,
        "mfa_enabled": False,
        "sso_enabled": False,
        "is_operator": account.is_operator,
    }


def render_api_token(token: APIToken) -> JSON:
    """An API token without its value."""
    return {
        "id": token.id,
        "name": token.name,
        "mfa_on_creation": False,
        "created_at": iso(token.created_at),
        "updated_at": iso(token.created_at),
        "expires_at": iso(token.expires_at),
        "last_used_at": iso(token.last_used_at),
    }


def render_grant(grant: Grant) -> JSON:
    """One user's access to a project."""
    path = f"/projects/{grant.project_id}/user-access/{grant.account_id}"
    return {
        "user_id": grant.account_id,
        "organization_id": grant.organization,
        "project_id": grant.project_id,
        "project_title": grant.project_title,
        "permissions": [grant.role],
        "granted_at": iso(grant.granted_at),
        "updated_at": iso(grant.granted_at),
        "_links": {
            "self": _link(path),
            "update": {"href": path, "method": "PATCH"},
            "delete": {"href": path, "method": "DELETE"},
        },
    }
