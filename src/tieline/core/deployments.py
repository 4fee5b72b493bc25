"""The vendor's document of what is deployed, as far as Tieline knows: the addresses that the deployer gave."""

from typing import Final

from tieline.core.clock import iso
from tieline.core.documents import JSON, Deployment, Environment, Project
from tieline.core.wire import render_deployment, render_subscription, without_passwords

CURRENT: Final = "current"


def deployment_of(environment: Environment) -> Deployment | None:
    """What runs of an environment now; None when nothing does."""
    return environment.deployment if environment.status == "active" else None


def render_current(environment: Environment, deployment: Deployment, project: Project, public_url: str) -> JSON:
    """What runs now, for clients. `public_url` is the root under which they reach this server."""
    return {
        **_render(environment, deployment, project),
        "subscription": render_subscription(project.id, public_url),
    }


def render_deployed(environment: Environment, deployment: Deployment, project: Project) -> JSON:
    """What runs now, as activities keep it: without passwords, and without what depends on how clients come here."""
    return {
        **without_passwords(_render(environment, deployment, project)),
        **render_deployment(deployment),
    }


def _render(environment: Environment, deployment: Deployment, project: Project) -> JSON:
    """The vendor's document. Containers are the deployer's, so there are none here."""
    moment = iso(deployment.deployed_at)
    return {
        "id": CURRENT,
        "created_at": moment,
        "updated_at": moment,
        "fingerprint": deployment.commit,
        "cluster_name": project.region,
        "project_info": {
            "title": project.title,
            "name": project.id,
            "namespace": None,
            "organization": None,
            "capabilities": {},
            "settings": {},
        },
        "environment_info": _environment_info(environment),
        "deployment_target": "local",
        "vpn": None,
        "http_access": environment.http_access,
        "enable_smtp": environment.enable_smtp,
        "restrict_robots": environment.restrict_robots,
        "variables": [],
        "access": [],
        "services": {},
        "routes": {url: _route(url, is_primary=place == 0) for place, url in enumerate(deployment.urls)},
        "webapps": {},
        "workers": {},
        "container_profiles": {},
        "tasks": {},
    }


def _environment_info(environment: Environment) -> JSON:
    return {
        "name": environment.id,
        "status": environment.status,
        "is_main": environment.is_main,
        "is_production": environment.type == "production",
        "constraints": {},
        "reference": f"refs/heads/{environment.name}",
        "machine_name": environment.machine_name,
        "environment_type": environment.type,
        "links": {},
    }


def _route(url: str, *, is_primary: bool) -> JSON:
    return {
        "id": url,
        "primary": is_primary,
        "production_url": None,
        "original_url": url,
        "attributes": {},
        "type": "upstream",
        "tls": {
            "strict_transport_security": {"enabled": None, "include_subdomains": None, "preload": None},
            "min_version": None,
            "client_authentication": None,
            "client_certificate_authorities": [],
        },
        "cache": {"enabled": False, "default_ttl": 0, "cookies": [], "headers": []},
        "ssi": {"enabled": False},
        "upstream": "deployer",
        "redirects": {"expires": "", "paths": {}},
        "sticky": {"enabled": False},
    }
