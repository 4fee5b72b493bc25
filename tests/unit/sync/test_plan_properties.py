"""What holds for every host, every history and every fault."""

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sync.world import KNOWN, NOW, REPOSITORY, World, fork, host, pull, sha
from tieline.core.documents import Environment
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
seconds = st.sampled_from([1, 30, 61])
histories = st.lists(
    st.tuples(hosts(), switches, seconds, st.booleans(), st.sampled_from([False, False, True])),
    min_size=1,
    max_size=6,
)


@st.composite
def failing_hosts(draw: st.DrawFn) -> list[tuple[RemoteState, SourceSettings, int, bool, bool]]:
    """One whole listing of six to nine branches, and then listings that lack some, each time others."""
    names = [f"b{number}" for number in range(draw(st.integers(5, 8)))]
    listings = [set(names), *draw(st.lists(st.sets(st.sampled_from(names)), min_size=1, max_size=5))]
    defaults = ["main", *draw(st.lists(st.sampled_from(["main", "main", "trunk"]), min_size=5, max_size=5))]
    return [
        (
            host(" ".join(f"{name}@1" for name in [default, *sorted(listed)]), default=default),
            SourceSettings(),
            draw(seconds),
            True,
            False,
        )
        for listed, default in zip(listings, defaults, strict=False)
    ]


def main_id(world: World) -> str | None:
    return next((each.id for each in world.environments.values() if each.is_main), None)


def standing(world: World) -> list[Environment]:
    return [each for each in world.environments.values() if each.status != "deleting"]


def is_absent(each: Environment, remote: RemoteState, config: SourceSettings) -> bool | None:
    """By the words of the decision; None where this listing says nothing."""
    if not remote.heads:
        return None
    if each.pull is None:
        return each.name not in remote.heads if config.fetch_branches and config.prune_branches else False
    number, pulls = each.pull.number, remote.pulls
    if number in pulls.read:
        return pulls.read[number].state != "open"
    return True if number in pulls.gone or pulls.complete else None


class Witness:
    """Remembers since when each environment was absent in every listing that said something about it."""

    def __init__(self) -> None:
        self.since: dict[str, datetime] = {}

    def see(self, world: World, remote: RemoteState, config: SourceSettings, now: datetime) -> None:
        for each in standing(world):
            absent = is_absent(each, remote, config)
            if absent:
                self.since.setdefault(each.id, now)
            elif absent is False:
                self.since.pop(each.id, None)

    def has_seen_twice(self, id: str, now: datetime) -> bool:
        return now - self.since[id] >= timedelta(minutes=1)


@settings(max_examples=200, deadline=None)
@given(histories)
def test_every_history(history: list[tuple[RemoteState, SourceSettings, int, bool, bool]]) -> None:
    walk(history)


@settings(max_examples=300, deadline=None)
@given(failing_hosts())
def test_a_host_that_shows_less_and_less(history: list[tuple[RemoteState, SourceSettings, int, bool, bool]]) -> None:
    walk(history)


def walk(history: list[tuple[RemoteState, SourceSettings, int, bool, bool]]) -> None:
    world, now, witness = World(known=replace(KNOWN, default_branch=None, remote_default_branch=None)), NOW, Witness()
    former: set[str] = set()
    for remote, config, passed, finishes, confirms in history:
        now += timedelta(seconds=passed)
        before, population, hold = main_id(world), standing(world), world.known.hold
        agreed = set(hold.environments) if hold is not None and confirms else set[str]()
        witness.see(world, remote, config, now)
        world.known = replace(world.known, confirmed=confirms)
        planned = world.plan(remote, config, now)
        world.known = replace(world.known, confirmed=False)
        removed = {each.environment_id for each in planned.steps if isinstance(each, RemoveEnvironment)}

        world.apply(planned)

        assert all(is_absent(each, remote, config) for each in population if each.id in removed)
        assert before not in removed
        assert main_id(world) not in removed
        if len(population) >= 5 and 2 * len(removed - agreed) > len(population):
            assert all(witness.has_seen_twice(each, now) for each in removed - agreed)
        assert all(witness.has_seen_twice(each, now) for each in (removed - agreed) & former)
        assert (planned.refusal is not None) <= (world.known.hold is not None), "what is refused is remembered"
        again = world.plan(remote, config, now)
        assert not again, "a plan that was applied leaves nothing to do"
        assert (again.refusal is None) == (planned.refusal is None), "and is refused again, as long as it is too early"
        check(world)
        if not config.prune_branches:
            former = set()  # Somebody who switches pruning on later knows what was marked as gone until then.
        elif before is not None and before != main_id(world):
            former = {before}
        if finishes:
            world.finish_removals()


def check(world: World) -> None:
    """What holds at any time."""
    found = standing(world)
    assert len({each.machine_name for each in world.environments.values()}) == len(world.environments)
    assert len({each.name for each in found if not each.is_pull}) == sum(not each.is_pull for each in found)
    assert sum(each.is_main for each in world.environments.values()) <= 1
    assert all(each.parent in world.environments for each in found if each.parent is not None)
    assert all(each.parent != each.id for each in found)


@settings(max_examples=120, deadline=None)
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
    second = broken.plan(remote, config)
    broken.apply(second)

    if second.refusal is not None and planned.refusal is None:
        return  # With what was created before the crash there are five, and more care is taken.
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
