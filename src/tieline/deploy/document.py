"""The document that a deployer command reads. Pure; `docs/deployers.md` describes it."""

from pathlib import Path
from typing import Final

from tieline.core.documents import JSON, Environment, Project, PullInfo
from tieline.core.ports import Action, DeploySubject
from tieline.core.wire import render_deployment

VERSION: Final = 1


def render_order(action: Action, subject: DeploySubject, tree: Path | None) -> JSON:
    """The whole document of one action."""
    environment = subject.environment
    return {
        "version": VERSION,
        "action": action,
        "activity": subject.activity_id,
        "project": _project(subject.project),
        "environment": _environment(environment),
        "parent": _parent(subject.parent) if subject.parent else None,
        "commit": subject.commit,
        "tree": str(tree) if tree else None,
        "resources": {"init": environment.init_resources},
        "previous_deployment": render_deployment(environment.deployment) if environment.deployment else None,
    }


def _project(project: Project) -> JSON:
    return {
        "id": project.id,
        "title": project.title,
        "default_branch": project.default_branch,
        "region": project.region,
        "timezone": project.timezone,
    }


def _environment(environment: Environment) -> JSON:
    return {
        **_identity(environment),
        "title": environment.title,
        "is_main": environment.is_main,
        "attributes": dict(environment.attributes),
        "http_access": environment.http_access,
        "restrict_robots": environment.restrict_robots,
        "enable_smtp": environment.enable_smtp,
        "pull_request": _pull(environment.pull) if environment.pull else None,
    }


def _parent(parent: Environment) -> JSON:
    return {
        **_identity(parent),
        "deployment": render_deployment(parent.deployment) if parent.deployment else None,
    }


def _identity(environment: Environment) -> JSON:
    return {
        "id": environment.id,
        "name": environment.name,
        "machine_name": environment.machine_name,
        "type": environment.type,
        "status": environment.status,
    }


def _pull(pull: PullInfo) -> JSON:
    return {
        "number": pull.number,
        "title": pull.title,
        "url": pull.url,
        "source_branch": pull.source_branch,
        "source_repository": pull.source_repository,
        "target_branch": pull.target_branch,
        "is_fork": pull.is_fork,
    }
