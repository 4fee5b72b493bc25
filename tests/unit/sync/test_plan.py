"""The table of plans: a host and environments on one side, what has to follow on the other."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from tests.unit.sync.world import (
    INTEGRATION,
    KNOWN,
    NOW,
    PROJECT,
    SETTINGS,
    World,
    env,
    fork,
    fork_env,
    held,
    host,
    main,
    pull,
    pull_env,
    said,
    sha,
)
from tieline.core.documents import Environment, Integration, Project, PruneHold
from tieline.sync.observe import Observation
from tieline.sync.plan import plan
from tieline.sync.reconcile import Situation
from tieline.sync.state import Known, RemoteState, SourceSettings
from tieline.sync.steps import UpdatePull

NEW = replace(KNOWN, default_branch=None, remote_default_branch=None)
NO_FETCH = SourceSettings.from_config({"fetch_branches": False, "prune_branches": True})
NO_PRUNE = replace(SETTINGS, prune_branches=False)
NO_BUILD = replace(SETTINGS, build_pull_requests=False)
FIVE = (main(), env("a"), env("b"), env("c"), env("d"))
TRUNK = replace(KNOWN, default_branch="trunk", remote_default_branch="trunk")


class Case(NamedTuple):
    have: tuple[Environment, ...]
    remote: RemoteState
    expect: list[str]
    settings: SourceSettings = SETTINGS
    known: Known = KNOWN


CASES = {
    # Branches
    "the first fetch: production first, the rest below it": Case(
        (),
        host("feature/a@2 main@1"),
        ["create default main for main", "push main ->1", "create feature-a for feature/a inactive 2 below main"],
        known=NEW,
    ),
    "nothing changed": Case((main(), env("a")), host("main@1 a@1"), []),
    "a branch appears": Case((main(),), host("main@1 a@2"), ["create a for a inactive 2 below main"]),
    "a push to an inactive branch builds nothing": Case((main(), env("a")), host("main@1 a@2"), ["head a 2"]),
    "a push to an active branch": Case((main(), env("a", status="active")), host("main@1 a@2"), ["push a 1>2"]),
    "a push to a dirty branch": Case((main(), env("a", status="dirty")), host("main@1 a@2"), ["push a 1>2"]),
    "a push to a paused branch waits": Case((main(), env("a", status="paused")), host("main@1 a@2"), ["head a 2"]),
    "a push to the default branch": Case((main(),), host("main@2"), ["push main 1>2"]),
    "a push to a branch that is being activated is built after that": Case(
        (main(), env("a", has_pending_activity=True)), host("main@1 a@2"), ["push a 1>2"]
    ),
    "a push to a fork that waits is not built, whatever else goes on": Case(
        (main(), fork_env(3, has_pending_activity=True)), host("main@1", fork(3), fork_heads={3: "4"}), ["head pr-3 4"]
    ),
    "pushes: production first, then by name": Case(
        (main(), env("a", status="active"), env("b", status="active"), env("c"), env("d")),
        host("a@2 b@2 c@2 d@2 main@2"),
        ["push main 1>2", "push a 1>2", "push b 1>2", "head c 2", "head d 2"],
    ),
    "a branch is deleted": Case((main(), env("a")), host("main@1"), ["remove a: branch a is gone"]),
    "a renamed branch is a delete and a create": Case(
        (main(), env("a")), host("main@1 b@1"), ["create b for b inactive 1 below main", "remove a: branch a is gone"]
    ),
    "a branch becomes a folder": Case(
        (main(), env("feature")),
        host("main@1 feature/one@1"),
        ["create feature-one for feature/one inactive 1 below main", "remove feature: branch feature is gone"],
    ),
    "a branch whose environment is being deleted waits": Case(
        (main(), env("a", status="deleting")), host("main@1 a@2"), []
    ),
    "an environment in deleting is not deleted again": Case((main(), env("a", status="deleting")), host("main@1"), []),
    "an id in deleting is not given away": Case(
        (main(), env("a-b", "a/b", status="deleting")),
        host("main@1 a-b@1"),
        ["create a-b-2rbwfvt for a-b inactive 1 below main"],
    ),
    "children of what is being deleted go to the default environment": Case(
        (main(), env("a", status="deleting"), env("b", parent="a")), host("main@1 b@1"), ["parent b main"]
    ),
    "a parent that a person chose stays": Case((main(), env("a"), env("b", parent="a")), host("main@1 a@1 b@1"), []),
    # Settings
    "without fetch only the default branch is followed": Case(
        (), host("main@1 a@1"), ["create default main for main", "push main ->1"], NO_FETCH, NEW
    ),
    "without fetch production still follows pushes": Case((main(),), host("main@2 a@1"), ["push main 1>2"], NO_FETCH),
    "without fetch other branches stand still": Case(
        (main(), env("a", status="active"), env("b")), host("main@1 a@2 b@2"), [], NO_FETCH
    ),
    "prune needs fetch": Case((main(), env("a")), host("main@1"), ["lost a"], NO_FETCH),
    "without prune a deleted branch is marked": Case((main(), env("a")), host("main@1"), ["lost a"], NO_PRUNE),
    "a branch comes back": Case(
        (main(), env("a", has_remote=False)), host("main@1 a@2"), ["head a 2", "back a"], NO_PRUNE
    ),
    "prune switched on later removes what was marked": Case(
        (main(), env("a", has_remote=False)), host("main@1"), ["remove a: branch a is gone"]
    ),
    "without building nothing new comes of pull requests": Case(
        (main(),), host("main@1 topic@2", pull(1)), ["create topic for topic inactive 2 below main"], NO_BUILD
    ),
    "without building what exists is not built": Case(
        (main(), env("topic", head="2"), pull_env(1)), host("main@1 topic@2", pull(1)), [], NO_BUILD
    ),
    "without building what is merged still goes": Case(
        (main(), env("topic"), pull_env(1)),
        host("main@1 topic@1", pull(1, state="merged")),
        ["remove pr-1: pull request 1 was merged"],
        NO_BUILD,
    ),
    # The default branch
    "no default branch: nothing is production": Case(
        (), host("a@1", default=None), ["create a for a inactive 1 below None"], known=NEW
    ),
    "the host names a default branch later": Case(
        (env("a", parent=None), env("b", parent=None)),
        host("a@1 b@1", default="a"),
        ["follow default a for a", "push a 1>1", "parent b a"],
        known=NEW,
    ),
    "the host names a default branch that is not there": Case((main(),), host("main@1", default="trunk"), []),
    "the default branch changes": Case(
        (main(), env("trunk", head="2"), env("a")),
        host("main@1 trunk@2 a@1", default="trunk"),
        ["follow default trunk for trunk instead of main moving a", "push trunk 2>2"],
    ),
    "the default branch changes to a new one": Case(
        (main(), env("a")),
        host("main@1 trunk@2 a@1", default="trunk"),
        ["create default trunk for trunk instead of main moving a", "push trunk ->2"],
    ),
    "the default branch changes to one that runs already": Case(
        (main(), env("trunk", status="active")),
        host("main@1 trunk@1", default="trunk"),
        ["follow default trunk for trunk instead of main"],
    ),
    "the default branch changes to one that runs and moved": Case(
        (main(), env("trunk", status="active")),
        host("main@1 trunk@2", default="trunk"),
        ["follow default trunk for trunk instead of main", "push trunk 1>2"],
    ),
    "the default branch is renamed: the former production waits for a second listing": Case(
        (main(),),
        host("trunk@1", default="trunk"),
        ["refuse main of 1", "hold main", "create default trunk for trunk instead of main", "push trunk ->1"],
    ),
    "the former production is still held after 59 seconds": Case(
        (main("trunk"), env("main", parent="trunk")),
        host("trunk@1", default="trunk"),
        ["refuse main of 2"],
        known=held("main", age=59, known=TRUNK),
    ),
    "the former production goes when a second listing agrees": Case(
        (main("trunk"), env("main", parent="trunk")),
        host("trunk@1", default="trunk"),
        ["remove main: branch main is gone", "release"],
        known=held("main", age=60, known=TRUNK),
    ),
    "the default branch vanishes: production stays": Case(
        (main(),), host("a@1", default="main"), ["create a for a inactive 1 below main", "lost main"]
    ),
    "a person's own default branch is respected": Case(
        (main("develop"), env("main", parent="develop")),
        host("main@1 develop@1"),
        [],
        known=replace(KNOWN, default_branch="develop"),
    ),
    "a person chooses another default branch": Case(
        (main(), env("develop")),
        host("main@1 develop@1"),
        ["follow default develop for develop instead of main", "push develop 1>1"],
        known=replace(KNOWN, default_branch="develop"),
    ),
    "a default branch that does not exist anywhere is ignored": Case(
        (main(),), host("main@1"), ["follow default main for main"], known=replace(KNOWN, default_branch="nonsense")
    ),
    "the default environment is being deleted: nothing is put in its place yet": Case(
        (main(status="deleting"), env("a")), host("main@1 a@1"), []
    ),
    # Pull requests
    "a pull request is opened": Case(
        (main(), env("topic", head="2")),
        host("main@1 topic@2", pull(7)),
        ["create pr-7 for topic active 2 below main", "push pr-7 ->2"],
    ),
    "a pull request is opened together with its branches": Case(
        (main(),),
        host("main@1 base@1 topic@2", pull(7, target="base")),
        [
            "create base for base inactive 1 below main",
            "create topic for topic inactive 2 below main",
            "create pr-7 for topic active 2 below base",
            "push pr-7 ->2",
        ],
    ),
    "a pull request whose target has no environment": Case(
        (main(),),
        host("main@1 topic@2 base@1", pull(7, target="base")),
        ["create pr-7 for topic active 2 below main", "push pr-7 ->2"],
        NO_FETCH,
    ),
    "a pull request whose target is gone": Case(
        (main(), env("topic")),
        host("main@1 topic@1", pull(7, target="vanished")),
        ["create pr-7 for topic active 1 below main", "push pr-7 ->1"],
    ),
    "two pull requests of one branch": Case(
        (main(), env("topic")),
        host("main@1 topic@1", pull(2), pull(1)),
        [
            "create pr-1 for topic active 1 below main",
            "push pr-1 ->1",
            "create pr-2 for topic active 1 below main",
            "push pr-2 ->1",
        ],
    ),
    "a push to a pull request": Case(
        (main(), env("topic"), pull_env(1)), host("main@1 topic@2", pull(1)), ["push pr-1 1>2", "head topic 2"]
    ),
    "a push hook needs no word about pull requests": Case(
        (main(), env("topic"), pull_env(1)), host("main@1 topic@2", complete=False), ["push pr-1 1>2", "head topic 2"]
    ),
    "a push to a pull request that is not active": Case(
        (main(), env("topic", head="2"), pull_env(1, status="inactive")),
        host("main@1 topic@2", pull(1)),
        ["head pr-1 2"],
    ),
    "an abbreviated head that git does not confirm: git is right": Case(
        (main(), env("topic", head="2"), pull_env(1, head="2")), host("main@1 topic@2", pull(1, head=sha("3")[:12])), []
    ),
    "the source branch is deleted while the pull request is open": Case(
        (main(), pull_env(1)), host("main@1", pull(1)), []
    ),
    "the host forgets the source of an open pull request": Case(
        (main(), pull_env(1)), host("main@1", pull(1, None, source_repository=None, head=None)), []
    ),
    "a new pull request without its source branch": Case((main(),), host("main@1", pull(1)), []),
    "a deleted fork is not mistaken for a branch of ours": Case(
        (main(),), host("main@1", pull(1, "main", source_repository=None)), []
    ),
    "a deleted fork of a known pull request is not mistaken for a branch of ours": Case(
        (main(head="2"), fork_env(1, head="1", status="active", awaiting_approval=False)),
        host("main@2 topic@2", fork(1, source_repository=None), fork_heads={}),
        ["create topic for topic inactive 2 below main"],
    ),
    "a new title": Case(
        (main(), env("topic"), pull_env(1)),
        host("main@1 topic@1", pull(1, title="Better\0")),
        ["pull pr-1 topic>main PR #1: Better"],
    ),
    "a title that a person gave stays when other things change": Case(
        (main(), env("topic"), pull_env(1, title="My own")),
        host("main@1 topic@1", pull(1, author="ann")),
        ["pull pr-1 topic>main My own"],
    ),
    "a retarget": Case(
        (main(), env("base"), env("topic"), pull_env(1)),
        host("main@1 base@1 topic@1", pull(1, target="base")),
        ["pull pr-1 topic>base PR #1: Change", "parent pr-1 base"],
    ),
    "a retarget to a branch without environment": Case(
        (main(), env("base"), env("topic"), pull_env(1, parent="base", pull={"target_branch": "base"})),
        host("main@1 base@1 topic@1", pull(1, target="elsewhere")),
        ["pull pr-1 topic>elsewhere PR #1: Change", "parent pr-1 main"],
    ),
    "a retarget to what was put below it": Case(
        (main(), env("base", parent="pr-1"), env("topic"), pull_env(1)),
        host("main@1 base@1 topic@1", pull(1, target="base")),
        ["pull pr-1 topic>base PR #1: Change"],
    ),
    "a circle is taken apart": Case(
        (main(), env("base", parent="pr-1"), env("topic"), pull_env(1, parent="base", pull={"target_branch": "base"})),
        host("main@1 base@1 topic@1", pull(1, target="base")),
        ["parent pr-1 main"],
    ),
    "the target branch is deleted": Case(
        (main(), env("base"), env("topic"), pull_env(1, parent="base", pull={"target_branch": "base"})),
        host("main@1 topic@1", pull(1, target="base")),
        ["parent pr-1 main", "remove base: branch base is gone"],
    ),
    "merged": Case(
        (main(), env("topic"), pull_env(1)),
        host("main@1 topic@1", pull(1, state="merged"), complete=False),
        ["remove pr-1: pull request 1 was merged"],
    ),
    "declined, and its branch deleted": Case(
        (main(), env("topic"), pull_env(1)),
        host("main@1", pull(1, state="declined"), complete=False),
        ["remove pr-1: pull request 1 was declined", "remove topic: branch topic is gone"],
    ),
    "404 for that very pull request": Case(
        (main(), pull_env(1)), host("main@1", complete=False, gone=[1]), ["remove pr-1: pull request 1 is gone"]
    ),
    "no longer in a complete listing": Case(
        (main(), pull_env(1)), host("main@1"), ["remove pr-1: pull request 1 is no longer open"]
    ),
    "beyond the page window nothing is removed": Case(
        (main(), env("topic"), pull_env(1), pull_env(9)), host("main@1 topic@1", pull(1), complete=False), []
    ),
    "beyond the page window pushes are followed all the same": Case(
        (main(), env("topic"), pull_env(1, "other"), pull_env(9)),
        host("main@1 topic@2", pull(1, "other"), complete=False),
        ["push pr-9 1>2", "head topic 2"],
    ),
    "the branch prune never touches pull requests": Case((main(), pull_env(1)), host("main@1", complete=False), []),
    "a pull request in deleting waits": Case(
        (main(), env("topic"), pull_env(1, status="deleting")), host("main@1 topic@2", pull(1)), ["head topic 2"]
    ),
    # Forks
    "a fork waits for approval": Case(
        (main(),),
        host("main@1", fork(3), fork_heads={3: "4"}),
        ["create pr-3 for topic inactive 4 below main", "waits"],
    ),
    "a fork that cannot be read has no environment yet": Case((main(),), host("main@1", fork(3)), []),
    "a fork that is no longer readable keeps its environment": Case((main(), fork_env(3)), host("main@1", fork(3)), []),
    "a push to a fork that waits": Case(
        (main(), fork_env(3)), host("main@1", fork(3), fork_heads={3: "4"}), ["head pr-3 4"]
    ),
    "a push to a fork that was approved: what runs was approved, what is new was not": Case(
        (main(), fork_env(3, status="active", awaiting_approval=False)),
        host("main@1", fork(3), fork_heads={3: "4"}),
        ["await pr-3 4"],
    ),
    "a second push to a fork that was approved": Case(
        (main(), fork_env(3, head="4", status="active")),
        host("main@1", fork(3), fork_heads={3: "5"}),
        ["head pr-3 5"],
    ),
    "a push to a fork whose approval is being built": Case(
        (main(), fork_env(3, awaiting_approval=False, has_pending_activity=True)),
        host("main@1", fork(3), fork_heads={3: "4"}),
        ["await pr-3 4"],
    ),
    "a push to a fork that was approved and deactivated": Case(
        (main(), fork_env(3, awaiting_approval=False)),
        host("main@1", fork(3), fork_heads={3: "4"}),
        ["await pr-3 4"],
    ),
    "a fork's branch has the name of ours": Case(
        (main(), env("topic", head="5"), fork_env(3)), host("main@1 topic@5", fork(3), fork_heads={3: "1"}), []
    ),
    "a pull request moves to a fork": Case(
        (main(), env("topic"), pull_env(1)),
        host("main@1 topic@1", fork(1), fork_heads={1: "4"}),
        ["await pr-1", "pull pr-1 topic>main PR #1: Change", "head pr-1 4"],
    ),
    # Prune traps
    "zero branches: nothing is removed": Case(FIVE, host("", default=None), []),
    "zero branches: pull requests stay too": Case((main(), pull_env(1)), host("", default=None), []),
    "half of the environments may go": Case(
        (*FIVE, env("e")),
        host("main@1 a@1 b@1"),
        [f"remove {each}: branch {each} is gone" for each in "cde"],
    ),
    "more than half may not": Case(FIVE, host("main@1 a@1"), ["refuse b c d of 5", "hold b c d"]),
    "four are too few to hold back": Case(
        FIVE[:4], host("main@1"), [f"remove {each}: branch {each} is gone" for each in "abc"]
    ),
    "pull requests count too": Case(
        (main(), env("a"), pull_env(1), pull_env(2), pull_env(3)),
        host("main@1 a@1"),
        ["refuse pr-1 pr-2 pr-3 of 5", "hold pr-1 pr-2 pr-3"],
    ),
    "what is being deleted does not count": Case(
        (*FIVE[:4], env("x", status="deleting")),
        host("main@1"),
        [f"remove {each}: branch {each} is gone" for each in "abc"],
    ),
    "refused, but all else happens": Case(
        FIVE,
        host("main@2 a@2 new@3"),
        ["refuse b c d of 5", "hold b c d", "create new for new inactive 3 below main", "push main 1>2", "head a 2"],
    ),
    "a second listing after 59 seconds is refused like the first": Case(
        FIVE, host("main@1 a@1"), ["refuse b c d of 5"], known=held("b", "c", "d", age=59)
    ),
    "a second listing after a minute agrees": Case(
        FIVE,
        host("main@1 a@1"),
        [*(f"remove {each}: branch {each} is gone" for each in "bcd"), "release"],
        known=held("b", "c", "d", age=60),
    ),
    "a second listing agrees with a part": Case(
        FIVE,
        host("main@1 a@1 b@1"),
        ["remove c: branch c is gone", "remove d: branch d is gone", "release"],
        known=held("b", "c", "d", age=300),
    ),
    "everything came back": Case(FIVE, host("main@1 a@1 b@1 c@1 d@1"), ["release"], known=held("b", "c", "d", age=5)),
    "some came back at once": Case(
        FIVE, host("main@1 a@1 b@1"), ["refuse c d of 5", "hold c d"], known=held("b", "c", "d", age=5)
    ),
    "one more goes while the hold is young: it waits too": Case(
        FIVE, host("main@1"), ["refuse a b c d of 5"], known=held("b", "c", "d", age=5)
    ),
    "one more goes when the hold is old: only one listing said so, and it would be too much at once": Case(
        FIVE,
        host("main@1"),
        ["refuse a of 5", "hold a", *(f"remove {each}: branch {each} is gone" for each in "bcd")],
        known=held("b", "c", "d", age=90),
    ),
    "one more goes when the hold is old, and all together are few": Case(
        (*FIVE, *map(env, "efghi")),
        host("main@1 d@1 e@1 f@1 g@1 h@1 i@1"),
        [*(f"remove {each}: branch {each} is gone" for each in "abc"), "release"],
        known=held("b", "c", age=90),
    ),
    "a former production environment joins a hold that is young": Case(
        (main(), *map(env, "abcd")),
        host("trunk@1 a@1", default="trunk"),
        [
            "refuse b c d main of 5",
            "hold b c d main",
            "create default trunk for trunk instead of main moving a b c d",
            "push trunk ->1",
        ],
        known=held("b", "c", "d", age=30),
    ),
    "two listings that disagree widely prove nothing": Case(
        (*FIVE, env("e"), env("f")),
        host("main@1"),
        ["refuse a b c d e f of 7", "hold a b c d e f"],
        known=held("a", "b", age=90),
    ),
    "a person confirms at once": Case(
        FIVE,
        host("main@1 a@1"),
        [*(f"remove {each}: branch {each} is gone" for each in "bcd"), "release"],
        known=held("b", "c", "d", age=1, confirmed=True),
    ),
    "a person confirms, and far more is gone by now": Case(
        (*FIVE, env("e"), env("f"), env("g")),
        host("main@1"),
        ["refuse b c d e f of 8", "hold b c d e f", "remove a: branch a is gone", "remove g: branch g is gone"],
        known=held("a", "g", age=1, confirmed=True),
    ),
    "a confirmation without a hold confirms nothing": Case(
        FIVE, host("main@1"), ["refuse a b c d of 5", "hold a b c d"], known=replace(KNOWN, confirmed=True)
    ),
    "a push hook says nothing about held pull requests": Case(
        (main(), env("a"), pull_env(1), pull_env(2), pull_env(3)),
        host("main@1 a@1", complete=False),
        [],
        known=held("pr-1", "pr-2", "pr-3", age=300),
    ),
    "a push hook settles the branches of a hold only": Case(
        (main(), env("a"), env("b"), pull_env(2, "x"), pull_env(3, "y")),
        host("main@1 a@1", complete=False),
        ["hold pr-2 pr-3", "remove b: branch b is gone"],
        known=held("b", "pr-2", "pr-3", age=300),
    ),
    "prune switched off ends a hold": Case(
        FIVE, host("main@1 a@1"), ["lost b c d", "release"], NO_PRUNE, held("b", "c", "d", age=5)
    ),
    # Other integrations
    "a removed integration's environments are followed on": Case(
        (main(integration_id=None), env("a", integration_id="another345678")),
        host("main@1 a@2"),
        ["head a 2", "adopt a main"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_plan(name: str) -> None:
    case = CASES[name]
    assert said(plan(case.remote, case.settings, case.have, case.known, NOW)) == case.expect


@pytest.mark.parametrize("name", CASES)
def test_a_plan_that_was_applied_leaves_nothing_to_do(name: str) -> None:
    case = CASES[name]
    world = World(case.have, replace(case.known, confirmed=False))
    world.known = case.known
    world.apply(world.plan(case.remote, case.settings))
    world.known = replace(world.known, confirmed=False)
    assert world.plan(case.remote, case.settings).steps == ()


def test_what_new_environments_begin_with() -> None:
    settings = SourceSettings.from_config(
        {"environment_init_resources": "parent", "pull_requests_clone_parent_data": False}
    )
    world = World(known=NEW)
    world.apply(world.plan(host("main@1 topic@2", pull(1)), settings))
    found = world.environments
    assert {each.init_resources for each in found.values()} == {"parent"}
    assert (found["pr-1"].clone_parent_on_create, found["topic"].clone_parent_on_create) == (False, True)
    assert (found["pr-1"].title, found["main"].type, found["topic"].type) == (
        "PR #1: Change",
        "production",
        "development",
    )


def test_what_strangers_write_stays_on_its_line_and_has_an_end() -> None:
    remote = host(
        "main@1 topic@1", pull(1, title="One\nRemoving environment main\x1b[2J" + "x" * 5000, source_repository="a/b\0")
    )
    (step,) = plan(remote, SETTINGS, [main(), env("topic"), pull_env(1)], KNOWN, NOW).steps
    (line,) = step.lines()
    assert line.startswith('Updated environment pr-1: "PR #1: One Removing environment main [2Jx')
    assert len(line) < 1100
    assert isinstance(step, UpdatePull)
    assert step.pull.source_repository == "a/b"


def test_notes_say_what_could_not_be_followed() -> None:
    remote = host("main@1", pull(1), fork(2))
    bad = "caf\udce9"
    remote = replace(remote, heads={**remote.heads, bad: sha("1"), "x" * 1001: sha("1")}, default_branch="main")
    notes = plan(remote, SETTINGS, [main(), pull_env(1)], KNOWN, NOW).notes
    assert notes == (
        r"Skipping branch caf\udce9: its name is not UTF-8, or longer than 1,000 bytes",
        f"Skipping branch {'x' * 80}: its name is not UTF-8, or longer than 1,000 bytes",
        "Pull request 1 keeps its environment as it is: its source branch is gone",
        "Pull request 2 has no environment: its fork or branch is gone or cannot be read",
    )


def test_a_refusal_names_what_stays_and_how_to_confirm() -> None:
    refused = plan(host("main@1 a@1"), SETTINGS, FIVE, KNOWN, NOW).refusal
    assert refused is not None
    (line,) = refused.lines()
    assert line.startswith("Not removing 3 of 5 environments: b, c, d. A second complete listing at least a minute")
    assert line.endswith('POST .../integrations/{id}/sync with {"confirm_prune": true}.')


def test_a_listing_counts_from_when_it_began_however_long_the_rest_took() -> None:
    """Commits are fetched between listing and plan, which may take longer than the minute that has to go by."""
    followed = Integration(
        INTEGRATION,
        PROJECT,
        "any",
        {},
        NOW,
        None,
        remote_default_branch="main",
        prune_hold=PruneHold(("b", "c", "d"), NOW),
    )
    site = Project(PROJECT, "Site", "", {}, "main", "UTC", "local", "ada", NOW, None)
    situation = Situation(site, followed, FIVE)
    no_access: Any = None
    for seconds, refused in ((59, True), (60, False)):
        began = NOW + timedelta(seconds=seconds)
        planned = situation.plan(Observation(host("main@1 a@1"), no_access, began), confirmed=False)
        assert (planned.refusal is not None) is refused
