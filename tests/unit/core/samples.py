"""Values that the tests of pure functions start from."""

from datetime import UTC, datetime

from tieline.core.documents import Activity, Actor, Commit, Environment, Integration, Project, PullInfo
from tieline.core.secret import Secret

NOW = datetime(2026, 11, 24, 10, 0, 0, 123, tzinfo=UTC)
COMMIT = "0b1c2d3e4f5061728394a5b6c7d8e9f001122334"
ANN = Actor(id="user-1", display_name='Ann <script>"', created_at=NOW)
PROJECT = Project(
    id="azertyuiop234",
    title="Demo & <strong>",
    description="",
    attributes={},
    default_branch="main",
    timezone="UTC",
    region="local",
    owner="user-1",
    created_at=NOW,
    updated_at=None,
)
MAIN = Environment(
    id="main",
    project_id=PROJECT.id,
    name="main",
    machine_name="main-b2xq7ya",
    title="main",
    type="production",
    status="active",
    parent=None,
    is_main=True,
    created_at=NOW,
    updated_at=None,
    integration_id="c4opi5tjv3yfd",
    head_commit=COMMIT,
)
PULL = Environment(
    id="pr-7",
    project_id=PROJECT.id,
    name="feature/a",
    machine_name="pr-7-k3jd82a",
    title="PR #7: <img src=x> & more",
    type="development",
    status="active",
    parent="main",
    is_main=False,
    created_at=NOW,
    updated_at=NOW,
    integration_id="c4opi5tjv3yfd",
    head_commit=COMMIT,
    pull=PullInfo(7, "<img src=x> & more", "feature/a", "acme/site", "main", is_fork=False),
)
INTEGRATION = Integration(
    id="c4opi5tjv3yfd",
    project_id=PROJECT.id,
    type="bitbucket",
    config={"repository": "acme/site", "fetch_branches": True},
    created_at=NOW,
    updated_at=None,
    secrets={"app_credentials.secret": Secret("never-to-be-seen")},
)
ACTIVITY = Activity(
    id="x4opi5tjv3yfd",
    project_id=PROJECT.id,
    type="environment.push",
    state="pending",
    result=None,
    created_at=NOW,
    updated_at=None,
    environment_id="pr-7",
    parameters={"commit": COMMIT},
)
CHANGE = Commit(COMMIT, "Ann", "ann@example.org", 1_764_000_000, "Add a\n", ("5" * 40,))
