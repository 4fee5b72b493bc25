"""However alike branches are named, each has its own environment, and keeps it."""

from tests.unit.sync.world import KNOWN, World, env, host, main, pull, pull_env, sha
from tieline.core import ids
from tieline.sync.state import RemoteState

PROJECT = KNOWN.project_id


def after(heads: str, *have: str, **more: str) -> dict[str, str]:
    """Branch -> environment id, once a host with these branches was followed."""
    return follow({name: more.get(name, "1") for name in heads.split()}, *have)


def follow(heads: dict[str, str], *have: str) -> dict[str, str]:
    world = World([main(), *(env(ids.slug(name), name) for name in have)])
    remote = RemoteState(
        heads={"main": sha("1"), **{name: sha(mark) for name, mark in heads.items()}}, default_branch="main"
    )
    world.apply(world.plan(remote))
    assert len(world.environments) == len(remote.heads)
    return {each.name: each.id for each in world.environments.values()}


def test_the_exact_slug_claims_first() -> None:
    found = after("feature/a feature-a feature_a Feature-A feature--a")
    assert found["feature-a"] == "feature-a"
    others = {found[name] for name in ("feature/a", "feature_a", "Feature-A", "feature--a")}
    assert all(each.startswith("feature-a-") and len(each) == len("feature-a-") + 7 for each in others)
    assert len(others) == 4


def test_the_default_branch_claims_before_all() -> None:
    world = World(known=KNOWN)
    world.apply(world.plan(RemoteState({"Main": sha("1"), "main": sha("1")}, "Main")))
    found = {each.name: each.id for each in world.environments.values()}
    assert found["Main"] == "main"
    assert found["main"].startswith("main-")


def test_an_id_that_was_given_stays_when_the_exact_slug_appears() -> None:
    found = after("feature/a feature-a", "feature/a")
    assert found["feature/a"] == "feature-a"
    assert found["feature-a"] == ids.environment_id("feature-a", {"feature-a"})


def test_ids_do_not_depend_on_what_came_along() -> None:
    together = after("x/y z x-y")
    assert together == {**after("x-y x/y"), **after("z")}


def test_a_branch_that_looks_like_a_pull_request() -> None:
    world = World([main()])
    world.apply(world.plan(host("main@1 pr-1@1 mr-2@1 topic@1", pull(1))))
    found = {(each.name, each.is_pull): each.id for each in world.environments.values()}
    assert found["topic", True] == "pr-1"
    assert found["pr-1", False] == f"pr-1-{ids.short_hash('pr-1')}"
    assert found["mr-2", False] == f"mr-2-{ids.short_hash('mr-2')}"


def test_an_id_shaped_like_a_pull_request_that_is_taken() -> None:
    world = World([main(), env("pr-1", "odd")])
    world.apply(world.plan(host("main@1 odd@1 topic@1", pull(1))))
    pulls = [each.id for each in world.environments.values() if each.is_pull]
    assert pulls == [f"pr-1-{ids.short_hash('pr-1')}"]


def test_emoji_empty_slugs_and_odd_refs() -> None:
    found = after("🚀 🚁 -dash HEAD refs/heads/main ünïcödé 修复")
    assert len(set(found.values())) == 8
    assert found["-dash"] == "dash-" + ids.short_hash("-dash") or found["-dash"] == "dash"
    assert found["ünïcödé"] == "unicode"
    assert found["🚀"] == f"branch-{ids.short_hash('🚀')}"


def test_long_names_fit_a_host_name() -> None:
    long = ["x" * 250, "x" * 249, "é" * 125, "f/" + "y" * 248]
    found = follow(dict.fromkeys(long, "1"))
    for name in long:
        assert len(found[name]) <= 40
        assert len(f"{ids.machine_name(PROJECT, found[name])}-{PROJECT}") <= 63


def test_case_pairs_keep_their_branch_names() -> None:
    found = after("README readme Readme")
    assert found["readme"] == "readme"
    assert set(found) == {"main", "README", "readme", "Readme"}


def test_machine_names_are_unique_and_stable() -> None:
    world = World([main()])
    remote = host("main@1 " + " ".join(f"b{number}@1" for number in range(200)), pull(3, "b1"))
    world.apply(world.plan(remote))
    names = {each.machine_name for each in world.environments.values()}
    assert len(names) == 202
    assert all(each.machine_name == ids.machine_name(PROJECT, each.id) for each in world.environments.values())


def test_a_pull_request_environment_is_no_branch_environment() -> None:
    world = World([main(), pull_env(1, "topic")])
    world.apply(world.plan(host("main@1 topic@1", pull(1))))
    assert sorted(world.environments) == ["main", "pr-1", "topic"]
