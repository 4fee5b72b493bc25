"""Documents against the vendor's schemas and the clients' weaknesses."""

from dataclasses import replace

import orjson
import pytest

from tests.unit.core.samples import ACTIVITY, COMMIT, INTEGRATION, MAIN, NOW, PROJECT, PULL
from tieline.core.documents import Deployment, DeploymentOutcome, Environment
from tieline.core.wire import (
    render_activity,
    render_environment,
    render_integration_fields,
    render_project,
)

ENVIRONMENT_KEYS = """
    id created_at updated_at name machine_name title attributes type parent default_domain has_domains
    clone_parent_on_create deployment_target is_pr has_remote awaiting_approval status http_access enable_smtp
    restrict_robots
    edge_hostname deployment_state sizing resources_overrides max_instance_count last_active_at last_backup_at project
    is_main is_dirty has_staged_activities can_rolling_deploy supports_rolling_deployments has_code head_commit
    merge_info has_deployment supports_restrict_robots
"""
PROJECT_KEYS = """
    id created_at updated_at attributes title description owner namespace organization default_branch status timezone
    region repository default_domain subscription maintenance
"""
ACTIVITY_KEYS = """
    id created_at updated_at type parameters project environments state result failure_reason started_at completed_at
    completion_percent cancelled_at timings log payload description text expires_at commands
"""


def test_an_activity_has_every_key_and_no_null_that_clients_cannot_bear() -> None:
    document = render_activity(ACTIVITY, "https://tieline.example/log")
    assert sorted(document) == sorted(ACTIVITY_KEYS.split())
    for name in ("description", "text", "state", "project", "environments", "commands", "log"):
        assert document[name] is not None
    assert document["created_at"] == "2026-11-24T10:00:00.000123+00:00"
    assert document["environments"] == ["pr-7"]
    assert "https://tieline.example/log" in document["log"]
    assert orjson.loads(orjson.dumps(document)) == document


def test_an_activity_names_its_integration_only_when_it_has_one() -> None:
    document = render_activity(replace(ACTIVITY, integration_id="c4opi5tjv3yfd", environment_id=None), "")
    assert document["integration"] == "c4opi5tjv3yfd"
    assert document["environments"] == []


@pytest.mark.parametrize("environment", [MAIN, PULL])
def test_an_environment_has_every_key(environment: Environment) -> None:
    document = render_environment(environment, PROJECT)
    assert sorted(document) == sorted(ENVIRONMENT_KEYS.split())
    assert document["resources_overrides"] == {}
    assert document["http_access"] == {"is_enabled": True, "addresses": [], "basic_auth": {}}
    assert document["deployment_state"] is None
    assert document["is_pr"] is (environment is PULL)
    assert document["edge_hostname"] == f"{environment.machine_name}-azertyuiop234.local"


def test_a_deployed_environment_says_when() -> None:
    deployed = replace(MAIN, deployment=Deployment(COMMIT, (), NOW), has_pending_activity=True)
    document = render_environment(deployed, PROJECT)
    assert document["deployment_state"]["last_deployment_at"] == "2026-11-24T10:00:00.000123+00:00"
    assert (document["has_deployment"], document["is_dirty"]) == (True, True)


def test_a_deployment_that_failed_is_told_of_until_one_succeeds() -> None:
    moment = NOW.replace(hour=12)
    failed = DeploymentOutcome(
        result="failure",
        failure_reason="shell",
        completed_at=moment,
        commands=({"app": "deployer", "type": "deploy", "exit_code": 3},),
    )
    first = render_environment(MAIN, PROJECT, failed)
    assert (first["has_deployment"], first["deployment_state"]["last_deployment_successful"]) == (False, False)
    deployed = replace(MAIN, deployment=Deployment(COMMIT, (), NOW))
    state = render_environment(deployed, PROJECT, failed)["deployment_state"]
    assert (state["last_deployment_successful"], state["last_deployment_failure_reason"]) == (False, "shell")
    assert state["last_deployment_at"] == "2026-11-24T12:00:00.000123+00:00"
    assert state["last_deployment_commands"] == [{"app": "deployer", "type": "deploy", "exit_code": 3}]
    mended = render_environment(deployed, PROJECT, replace(failed, result="success", failure_reason=None, commands=()))
    assert mended["deployment_state"]["last_deployment_successful"] is True
    assert mended["deployment_state"]["last_deployment_at"] == "2026-11-24T10:00:00.000123+00:00"


def test_a_project_has_every_key() -> None:
    document = render_project(replace(PROJECT, default_branch=None), "https://tieline.example:8420/")
    assert sorted(document) == sorted(PROJECT_KEYS.split())
    assert document["repository"]["url"] == "azertyuiop234@git.tieline.example:azertyuiop234.git"
    assert document["subscription"]["license_uri"] == "https://tieline.example:8420/licenses/azertyuiop234"
    assert document["default_branch"] is None
    assert document["status"] == {"code": "provisioned", "message": "ok"}


def test_an_integration_in_a_payload_has_no_secret() -> None:
    document = render_integration_fields(INTEGRATION)
    assert document["repository"] == "acme/site"
    assert "never-to-be-seen" not in repr(document)
