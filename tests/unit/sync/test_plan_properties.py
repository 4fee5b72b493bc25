"""What holds for every host, every history and every fault."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sync.world import KNOWN, NOW, REPOSITORY, World, fork, host, pull, sha
from tieline.core.remote import PullRequest
from tieline.sync.state import RemotePulls, RemoteState, SourceSettings
from tieline.sync.steps import RemoveEnvironment

NAMES = st.sampled_from(
    [
        "main",
        "trunk",
        "a",
        "A",
        "a/b",
        "a-b",
        "a_b",
        "A-B",
        "pr-1",
        "pr-2",
        "🚀",
        "é",
        "e",
        "x" * 250,
        "HEAD",
        "-",
        "topic",
    ]
)
MARKS = st.sampled_from("123")
NUMBERS = st.integers(1, 4)


@st.composite
def pull_requests(draw: st.DrawFn) -> PullRequest:
    number = draw(NUMBERS)
    is_fork = draw(st.booleans())
    made = fork(number) if is_fork else pull(number)
    return replace(
        made,
        source_branch=draw(st.none() | NAMES),
        target_branch=draw(NAMES),
        state=draw(st.sampled_from(["open", "merged", "declined"])),
        source_repository=draw(st.sampled_from(["stranger/site" if is_fork else REPOSITORY, None])),
        title=draw(st.sampled_from(["Change", "Other"])),
    )


@st.composite
def hosts(draw: st.DrawFn) -> RemoteState:
    heads = draw(st.dictionaries(NAMES, MARKS, max_size=8))
    read = draw(st.lists(pull_requests(), max_size=4))
    return RemoteState(
        heads={name: sha(mark) for name, mark in heads.items()},
        default_branch=draw(st.none() | st.sampled_from(["main", "trunk", "a"])),
        pulls=RemotePulls(
            read={each.number: each for each in read},
            gone=frozenset(draw(st.sets(NUMBERS, max_size=1))) - {each.number for each in read},
            complete=draw(st.booleans()),
            fork_heads={number: sha(mark) for number, mark in draw(st.dictionaries(NUMBERS, MARKS)).items()},
        ),
    )


switches = st.builds(
    lambda fetch, prune, build: SourceSettings.from_config(
        {"fetch_branches": fetch, "prune_branches": prune, "build_pull_requests": build}
    ),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
histories = st.lists(st.tuples(hosts(), switches, st.sampled_from([1, 61]), st.booleans()), min_size=1, max_size=5)


def main_id(world: World) -> str | None:
    return next((each.id for each in world.environments.values() if each.is_main), None)


@settings(max_examples=300, deadline=None)
@given(histories)
def test_every_history(history: list[tuple[RemoteState, SourceSettings, int, bool]]) -> None:
    world, now = World(known=replace(KNOWN, default_branch=None, remote_default_branch=None)), NOW
    for remote, config, seconds, finishes in history:
        now += timedelta(seconds=seconds)
        before = main_id(world)
        planned = world.plan(remote, config, now)
        removed = {each.environment_id for each in planned.steps if isinstance(each, RemoveEnvironment)}

        world.apply(planned)

        assert before not in removed
        assert main_id(world) not in removed
        assert not world.plan(remote, config, now), "a plan that was applied leaves nothing to do"
        standing = [each for each in world.environments.values() if each.status != "deleting"]
        assert len({each.machine_name for each in world.environments.values()}) == len(world.environments)
        assert len({each.name for each in standing if not each.is_pull}) == sum(not each.is_pull for each in standing)
        assert sum(each.is_main for each in world.environments.values()) <= 1
        assert all(each.parent in world.environments for each in standing if each.parent is not None)
        assert all(each.parent != each.id for each in standing)
        if not remote.heads:
            assert not removed
        if finishes:
            world.finish_removals()


@settings(max_examples=200, deadline=None)
@given(hosts(), switches, st.data())
def test_a_plan_that_was_applied_in_part_plans_to_the_rest(
    remote: RemoteState, config: SourceSettings, data: st.DataObject
) -> None:
    """A crash after any step, and the next reconcile ends where the whole plan would have ended."""
    first = data.draw(hosts())
    whole, broken = (World(known=replace(KNOWN, default_branch=None, remote_default_branch=None)) for _ in range(2))
    for world in (whole, broken):
        world.apply(world.plan(first, config))
    planned = whole.plan(remote, config)
    cut = data.draw(st.integers(0, len(planned.steps)))

    whole.apply(planned)
    broken.apply(replace(planned, steps=planned.steps[:cut]))
    broken.apply(broken.plan(remote, config))

    assert broken.environments == whole.environments
    assert broken.known == whole.known


@settings(max_examples=100, deadline=None)
@given(st.integers(5, 30), st.data())
def test_a_listing_that_lost_most_removes_nothing_by_itself(count: int, data: st.DataObject) -> None:
    branches = [f"b{number}" for number in range(count)]
    world = World()
    world.apply(world.plan(host("main@1 " + " ".join(f"{name}@1" for name in branches))))
    kept = data.draw(st.sets(st.sampled_from(branches), max_size=(count - 1) // 2 - 1))
    faulty = host("main@1 " + " ".join(f"{name}@1" for name in sorted(kept)))

    for seconds in (0, 20, 59):
        world.apply(world.plan(faulty, now=NOW + timedelta(seconds=seconds)))
        assert {each.status for each in world.environments.values()} == {"active", "inactive"}
    world.apply(world.plan(host("main@1 " + " ".join(f"{name}@1" for name in branches)), now=NOW + timedelta(hours=1)))

    assert len(world.environments) == count + 1
    assert world.known.hold is None


@given(hosts(), switches)
def test_the_order_of_a_listing_does_not_matter(remote: RemoteState, config: SourceSettings) -> None:
    turned = replace(remote, heads=dict(reversed(list(remote.heads.items()))))
    assert World().plan(remote, config) == World().plan(turned, config)
