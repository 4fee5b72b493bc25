"""Seeds as people write them: little has to be said, and all that is wrong is said at once."""

from pathlib import Path
from typing import Any

import pytest

from tests.seeds.reading import MOMENT, read
from tieline.core.errors import Invalid
from tieline.core.secret import Secret
from tieline.seeds.references import Variables
from tieline.seeds.seed import Missing, Seed


def problems(text: str) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        read(text)
    return refused.value.detail


def test_a_title_makes_a_project() -> None:
    (seeded,) = read("projects: [{title: Shop}]").projects
    assert (seeded.project.title, seeded.project.owner, seeded.project.created_at) == ("Shop", "admin", MOMENT)
    assert read("projects: [{title: Shop}]").projects[0].project.id == seeded.project.id


def test_projects_of_one_title_have_ids_of_their_own() -> None:
    first, second = read("projects: [{title: Shop}, {title: Shop}]").projects
    assert first.project.id != second.project.id


def test_a_file_with_nothing_in_it_is_a_seed() -> None:
    assert read("").projects == ()


def test_the_first_branch_is_production_and_the_others_hang_below_it() -> None:
    (seeded,) = read(
        """
        projects:
        - title: Shop
          integrations:
          - {type: bitbucket, repository: acme/shop}
          environments:
          - name: main
          - name: feature/cart
          - name: cart
            pull: {number: 7, title: Cart, source_branch: cart, source_repository: null, target_branch: feature/cart,
                   is_fork: false}
        """
    ).projects
    main, feature, pull = seeded.environments
    assert seeded.project.default_branch == "main"
    assert (main.id, main.type, main.status, main.parent, main.is_main) == ("main", "production", "active", None, True)
    assert (feature.id, feature.status, feature.parent) == ("feature-cart", "inactive", "main")
    assert (pull.id, pull.parent, pull.is_pull) == ("pr-7", "feature-cart", True)
    assert {each.integration_id for each in seeded.environments} == {seeded.integrations[0].id}


def test_what_a_git_source_follows_is_not_read_before_its_time() -> None:
    (seeded,) = read("projects: [{title: A, integrations: [{type: bitbucket, repository: a/b}]}]").projects
    (integration,) = seeded.integrations
    assert integration.next_reconcile_at is not None
    assert (integration.next_reconcile_at - MOMENT).total_seconds() == 300


def test_activities_happened_in_the_order_of_the_file() -> None:
    (seeded,) = read(
        """
        projects:
        - title: Shop
          activities:
          - {type: environment.push, environment: main, text: "Ada <b>pushed</b>", log: "one\\ntwo"}
          - {type: environment.redeploy, environment: main, state: cancelled}
        """
    ).projects
    push, redeploy = (each.activity for each in seeded.activities)
    assert push.created_at < redeploy.created_at < MOMENT
    assert (push.result, push.description) == ("success", "Ada &lt;b&gt;pushed&lt;/b&gt;")
    assert [(line.seq, line.message) for line in seeded.activities[0].log] == [(1, "one\n"), (2, "two\n")]
    assert (redeploy.result, redeploy.cancelled_at) == ("failure", redeploy.completed_at)


def test_an_activity_that_has_expired_since_is_kept_all_the_same() -> None:
    (seeded,) = read(
        """
        projects: [{title: A, activities: [{type: a, expires_at: 2020-01-01T00:00:00Z}]}]
        """
    ).projects
    expiry = seeded.activities[0].activity.expires_at
    assert expiry is not None
    assert expiry > MOMENT


BITBUCKET = """
    projects:
    - title: Shop
      integrations:
      - {id: bb, type: bitbucket, repository: a/b, app_credentials: {key: k, secret: REFERENCE}}
"""


def test_secrets_come_from_the_environment(tmp_path: Path) -> None:
    (seeded,) = read(BITBUCKET.replace("REFERENCE", "{env: CONSUMER}"), {"CONSUMER": "s3cret"}).projects
    assert seeded.integrations[0].secrets["app_credentials.secret"] == Secret("s3cret")
    assert seeded.integrations[0].config["app_credentials"] == {"key": "k"}


def test_secrets_come_from_files_beside_the_seed(tmp_path: Path) -> None:
    (tmp_path / "consumer").write_text("s3cret\n")
    (seeded,) = read(BITBUCKET.replace("REFERENCE", "{file: consumer}"), folder=tmp_path).projects
    assert seeded.integrations[0].secrets["app_credentials.secret"] == Secret("s3cret")


def test_no_two_secrets_of_an_export_share_a_variable() -> None:
    variables = Variables()
    users = ("ann", "Ann", "é", "è", "a-b", "a_b", "a_b_2")
    names = {each: variables.refer(Secret(each), "http_access", "site", "main", each)["env"] for each in users}
    assert {each: variables.values[name].reveal() for each, name in names.items()} == {each: each for each in users}
    assert (names["ann"], names["Ann"]) == ("HTTP_ACCESS_SITE_MAIN_ANN", "HTTP_ACCESS_SITE_MAIN_ANN_2")


def test_an_integration_is_read_without_a_secret_that_is_not_there() -> None:
    seed = read(BITBUCKET.replace("REFERENCE", "{env: CONSUMER}"))
    integration = seed.projects[0].integrations[0]
    assert "app_credentials.secret" not in integration.secrets
    assert integration.config["app_credentials"] == {"key": "k"}
    what = "app_credentials.secret of the bitbucket integration bb"
    assert seed.missing == (Missing("projects[0].integrations[0]", "the variable CONSUMER", what),)


@pytest.mark.parametrize("given", ["hunter2", "{env: A, file: b}", "{}", "[hunter2]"])
def test_a_secret_itself_is_refused_and_not_shown(given: str) -> None:
    found = problems(BITBUCKET.replace("REFERENCE", given))
    assert all(place.startswith("projects[0].integrations[0].app_credentials.secret") for place in found)
    assert "hunter2" not in str(found)


def test_an_environment_whose_password_is_not_there_stays_closed() -> None:
    seed = read(
        """
        projects:
        - title: Shop
          environments: [{name: main, http_access: {basic_auth: {ada: {env: PASSWORD}, ben: known}}}]
        """
    )
    passwords = seed.projects[0].environments[0].http_access["basic_auth"]
    assert passwords["ben"] == "known"
    assert len(passwords["ada"]) > 40
    assert [each.wanted for each in seed.missing] == ["the variable PASSWORD"]


def test_everything_that_is_wrong_is_named_by_its_place() -> None:
    found = problems(
        """
        users: [{username: A B}, x]
        projects:
        - titel: Shop
          integrations:
          - {type: nothing}
          - {type: bitbucket, repository: nope, prune: true}
          environments:
          - {name: a, parent: b, is_main: true}
          - {name: b, parent: a, is_main: true}
          - {name: c, parent: d, http_access: {addresses: [{permission: x, address: y}]}}
          - {name: b, id: b2, integration: zz}
          activities:
          - {type: a, created_at: 2026-01-01}
          - {type: b, created_at: 2026-01-01T00:00:00Z, cancelled_at: 2026-01-01T00:00:00Z, log: [x]}
          - {type: c, created_at: 2026-01-01T01:00:00+01:00}
          access: [{user: admin, role: owner}]
        """
    )
    project = "projects[0]"
    assert set(found) == {
        "users[0].username",
        "users[1]",
        f"{project}.title",
        f"{project}.titel",
        f"{project}.integrations[0].type",
        f"{project}.integrations[1].repository",
        f"{project}.integrations[1].prune",
        f"{project}.environments[0].parent",
        f"{project}.environments[1].parent",
        f"{project}.environments[1].is_main",
        f"{project}.environments[2].http_access.addresses[0].permission",
        f"{project}.environments[2].http_access.addresses[0].address",
        f"{project}.environments[3].name",
        f"{project}.environments[3].integration",
        f"{project}.activities[0].created_at",
        f"{project}.activities[1].cancelled_at",
        f"{project}.activities[1].log[0]",
        f"{project}.activities[2].created_at",
        f"{project}.access[0].role",
    }
    assert found[f"{project}.titel"] == "There is no such field; did you mean title?"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("tieline: 2", "tieline"),
        ("[]", "file"),
        ("projects: {}", "projects"),
        ("projects: [{title: A, id: Shop}]", "projects[0].id"),
        ("projects: [{title: A, id: s}, {title: B, id: s}]", "projects[1].id"),
        ("users: [{username: a}, {username: a}]", "users[1].username"),
        ("organizations: [{name: a, is_default: true}, {name: b, is_default: true}]", "organizations[1].is_default"),
        (
            "projects: [{title: A, integrations: [&, &]}]".replace("&", "{type: bitbucket, repository: a/b}"),
            "projects[0].integrations",
        ),
        (
            "projects: [{title: A, activities: [{id: a, type: x}]}, {title: B, activities: [{id: a, type: x}]}]",
            "projects[1].activities[0].id",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(text: str, place: str) -> None:
    assert place in problems(text)


def test_no_more_is_said_than_anybody_reads() -> None:
    text: Any = "projects: [" + "{}," * 80 + "]"
    found = problems(text)
    assert (len(found), found["..."]) == (51, "There are 30 problems more.")


SHOWN = """
    projects:
    - title: Shop
      integrations:
      - {type: webhook, url: "https://a.example/", shared_key: {env: KEY}}
      - {type: health.pagerduty, routing_key: {env: ROUTING}}
      - {type: sumologic, url: {env: SOURCE}}
      - {type: httplog, url: "https://a.example/", headers: {X-A: plain, X-B: {env: HEADER}}}
"""


def secrets_of(seed: Seed) -> list[dict[str, str]]:
    return [{name: each.reveal() for name, each in one.secrets.items()} for one in seed.projects[0].integrations]


def test_secrets_that_can_be_read_back_are_referred_to_or_stand_in_the_seed_themselves() -> None:
    found = {"KEY": "k3y", "ROUTING": "r0ute", "SOURCE": "https://b.example/s0urce", "HEADER": "h3ad"}
    wanted = [
        {"shared_key": "k3y"},
        {"routing_key": "r0ute"},
        {"url": "https://b.example/s0urce"},
        {"headers": '{"X-A":"plain","X-B":"h3ad"}'},
    ]
    assert secrets_of(read(SHOWN, found)) == wanted
    written = SHOWN
    for name, value in found.items():
        written = written.replace(f"{{env: {name}}}", f'"{value}"')
    seed = read(written)
    assert secrets_of(seed) == wanted
    assert "3" not in str([each.config for each in seed.projects[0].integrations])


def test_an_integration_is_read_without_a_secret_that_could_be_read_back() -> None:
    seed = read(SHOWN)
    assert secrets_of(seed) == [{}, {}, {}, {"headers": '{"X-A":"plain"}'}]
    assert [each.wanted for each in seed.missing] == [
        f"the variable {name}" for name in ("KEY", "ROUTING", "SOURCE", "HEADER")
    ]
