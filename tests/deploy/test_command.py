"""Real executables: what they see, what they say, and how they are ended."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tieline.core.errors import DeployFailed
from tieline.core.ports import Action, DeployAnswer, DeployOrder
from tieline.deploy.command import CommandDeployer, Limits

QUICK = Limits(seconds=20, grace_seconds=0.5, linger_seconds=0.2)
Write = Callable[[str], CommandDeployer]


class Lines:
    """A log that keeps what it is given, and says when something comes."""

    def __init__(self) -> None:
        self.text = ""
        self.changed = asyncio.Event()

    async def write(self, text: str) -> None:
        self.text += text if text.endswith("\n") else text + "\n"
        self.changed.set()

    async def wait_for(self, text: str) -> None:
        async with asyncio.timeout(10):
            while text not in self.text:
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., CommandDeployer]:
    def write(body: str, limits: Limits = QUICK) -> CommandDeployer:
        path = tmp_path / "deployer"
        path.write_text(f"#!{sys.executable}\nimport json, os, signal, subprocess, sys, time\n{body}\n")
        path.chmod(0o755)
        return CommandDeployer(path, tmp_path / "runs", limits)

    return write


def order(action: Action = "deploy", **document: Any) -> DeployOrder:
    names = {"project": {"id": "p"}, "environment": {"id": "main"}}
    return DeployOrder(action, {"action": action, **names, **document})


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def wait_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < deadline, f"{pid} is still there"
        await asyncio.sleep(0.01)


async def test_the_order_comes_as_argument_and_document(script: Write) -> None:
    log = Lines()
    deployer = script("order = json.load(sys.stdin)\nprint(sys.argv[1], order['action'], order['name'])")
    assert await deployer.run(order("build", name="é"), log) == DeployAnswer()
    assert log.text == "build build é\n"


async def test_the_last_line_is_the_answer_and_stays_out_of_the_log(script: Write) -> None:
    log = Lines()
    deployer = script("print('{\"a\": 1}'); print('up'); print(json.dumps({'urls': ['http://x.localhost/']}), end='')")
    assert await deployer.run(order(), log) == DeployAnswer(urls=("http://x.localhost/",))
    assert log.text == '{"a": 1}\nup\n'


async def test_a_last_line_that_only_looks_like_an_answer_is_logged(script: Write) -> None:
    log = Lines()
    assert await script("print('{oops')").run(order(), log) == DeployAnswer()
    assert log.text == "{oops\n"


async def test_standard_error_is_logged_and_never_an_answer(script: Write) -> None:
    log = Lines()
    assert await script('print(\'{"urls": ["http://x/"]}\', file=sys.stderr)').run(order(), log) == DeployAnswer()
    assert log.text == '{"urls": ["http://x/"]}\n'


async def test_lines_come_while_it_runs(script: Write, tmp_path: Path) -> None:
    log = Lines()
    go_on = tmp_path / "go-on"
    deployer = script(
        f"print('first', flush=True)\nwhile not os.path.exists({str(go_on)!r}): time.sleep(.01)\nprint('second')"
    )
    task = asyncio.create_task(deployer.run(order(), log))
    await log.wait_for("first\n")
    assert "second" not in log.text
    go_on.touch()
    await task
    assert log.text == "first\nsecond\n"


async def test_the_exit_status_decides(script: Write) -> None:
    log = Lines()
    with pytest.raises(DeployFailed, match="exit status 3") as caught:
        await script("print('why'); print('{\"urls\": [\"nonsense\"]}'); sys.exit(3)").run(order(), log)
    assert caught.value.exit_status == 3
    assert log.text == "why\n"


async def test_a_wrong_answer_fails_even_with_status_0(script: Write) -> None:
    with pytest.raises(DeployFailed, match="urls"):
        await script('print(\'{"urls": ["javascript:alert(1)"]}\')').run(order(), Lines())


async def test_a_signal_is_named(script: Write) -> None:
    with pytest.raises(DeployFailed, match="signal 9") as caught:
        await script("os.kill(os.getpid(), 9)").run(order(), Lines())
    assert caught.value.exit_status is None


async def test_what_it_inherits(script: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIELINE_SECRET_KEY", "never-to-be-seen")
    leaked = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    log = Lines()
    body = """
fds = [each for each in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/' + each)]
print(json.dumps({'env': dict(os.environ), 'fds': fds, 'home': os.listdir(os.environ['HOME']), 'cwd': os.getcwd(),
                  'leader': os.getpid() == os.getpgid(0) == os.getsid(0)}))
print()"""
    try:
        await script(body).run(order(), log)
    finally:
        os.close(leaked)
    seen = json.loads(log.text)
    assert seen["env"].keys() - {"LC_CTYPE"} == {"PATH", "LANG", "HOME"}
    assert (sorted(seen["fds"])[:3], len(seen["fds"])) == (["0", "1", "2"], 3)
    assert seen["home"] == []
    assert seen["cwd"] == seen["env"]["HOME"]
    assert seen["leader"]
    assert not await asyncio.to_thread(os.path.exists, seen["cwd"])


async def test_what_it_leaves_at_home_goes_however_deep_it_is(script: Write) -> None:
    log = Lines()
    body = """
print(os.getcwd())
for _ in range(1500):
    os.mkdir('d')
    os.chdir('d')"""
    await script(body).run(order(), log)
    assert not await asyncio.to_thread(os.path.exists, log.text.strip())


async def test_standard_input_need_not_be_read(script: Write) -> None:
    log = Lines()
    await script("os.close(0); print('did not look')").run(order(filler="x" * 1_000_000), log)
    assert log.text == "did not look\n"


async def test_the_time_limit_ends_it_and_its_children(script: Callable[..., CommandDeployer]) -> None:
    log = Lines()
    body = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
stubborn = 'import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)'
child = subprocess.Popen([sys.executable, '-c', stubborn])
print(os.getpid(), child.pid, flush=True)
time.sleep(600)"""
    deployer = script(body, Limits(seconds=1, grace_seconds=0.2, linger_seconds=0.1))
    with pytest.raises(DeployFailed, match="longer than 1 s"):
        await deployer.run(order(), log)
    for pid in map(int, log.text.split()):
        await wait_gone(pid)


async def test_a_child_has_its_grace_even_when_its_parent_is_gone_at_once(
    script: Callable[..., CommandDeployer], tmp_path: Path
) -> None:
    log = Lines()
    tidied = tmp_path / "tidied"
    tidy = f"trap 'sleep .2; touch {tidied}; exit' TERM; echo ready; while :; do sleep .01; done"
    body = f"child = subprocess.Popen(['sh', '-c', {tidy!r}])\ntime.sleep(600)"
    task = asyncio.create_task(script(body, Limits(grace_seconds=3)).run(order(), log))
    await log.wait_for("ready")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tidied.exists()


async def test_cancellation_ends_it_and_its_children(script: Write) -> None:
    log = Lines()
    body = "child = subprocess.Popen(['sleep', '600'])\nprint(os.getpid(), child.pid, flush=True)\ntime.sleep(600)"
    task = asyncio.create_task(script(body).run(order(), log))
    await log.wait_for("\n")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for pid in map(int, log.text.split()):
        await wait_gone(pid)


async def test_a_child_that_keeps_the_pipes_does_not_hold_us_up(script: Write) -> None:
    log = Lines()
    body = "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\nprint(child.pid)"
    began = time.monotonic()
    await script(body).run(order(), log)
    assert time.monotonic() - began < 10
    child = int(log.text)
    assert is_alive(child)
    os.kill(child, 9)


async def test_a_child_that_goes_on_printing_does_not_hold_us_up_either(script: Callable[..., CommandDeployer]) -> None:
    log = Lines()
    body = """
chatty = 'import time\\nwhile True: print("again", flush=True); time.sleep(.01)'
child = subprocess.Popen([sys.executable, '-c', chatty], start_new_session=True)
print(child.pid)"""
    await script(body, Limits(seconds=30, linger_seconds=0.05)).run(order(), log)
    await wait_gone(int(log.text.split()[0]))


async def test_junk_is_logged_as_text_and_is_no_answer(script: Write) -> None:
    log = Lines()
    junk = bytes(range(256)) * 40
    assert await script(f"sys.stdout.buffer.write({junk!r}); sys.stderr.buffer.write(b'\\xff')").run(order(), log) == (
        DeployAnswer()
    )
    assert "\ufffd" in log.text


async def test_output_that_is_closed_early_ends_nothing(script: Write) -> None:
    with pytest.raises(DeployFailed, match="exit status 7"):
        await script("os.close(1); os.close(2); time.sleep(.1); os._exit(7)").run(order(), Lines())


WORKER = """
import asyncio, sys
from pathlib import Path
from tieline.core.ports import DeployOrder
from tieline.deploy.command import CommandDeployer

class Log:
    async def write(self, text):
        print(text, end="", flush=True)

document = {"project": {"id": "p"}, "environment": {"id": "main"}}
deployer = CommandDeployer(Path(sys.argv[1]), Path(sys.argv[2]))
asyncio.run(deployer.run(DeployOrder("deploy", document), Log()))
"""


async def test_what_a_killed_worker_left_running_is_ended_by_the_next(script: Write, tmp_path: Path) -> None:
    log = Lines()
    deployer = script(
        f"print(os.getpid(), flush=True)\nif not os.path.exists({str(tmp_path / 'again')!r}): time.sleep(600)"
    )
    arguments = (sys.executable, "-c", WORKER, str(tmp_path / "deployer"), str(tmp_path / "runs"))
    worker = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
    assert worker.stdout is not None
    orphan = int(await worker.stdout.readline())
    worker.kill()
    await worker.wait()
    assert is_alive(orphan)
    (tmp_path / "again").touch()
    await deployer.run(order(), log)
    await wait_gone(orphan)
    assert log.text.startswith("Ended a deployer")
    assert list((tmp_path / "runs").iterdir()) == []


async def test_another_process_with_the_same_id_is_left_alone(script: Write, tmp_path: Path) -> None:
    log = Lines()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "p-main.run").write_text(f"{os.getpid()} 1")
    await script("print('fine')").run(order(), log)
    (tmp_path / "runs" / "p-main.run").write_text("not a process")
    await script("print('fine')").run(order(), log)
    assert log.text == "fine\nfine\n"


async def test_a_flood_is_ended(script: Callable[..., CommandDeployer]) -> None:
    log = Lines()
    body = "print(os.getpid(), flush=True)\nwhile True: sys.stdout.write('flood ' * 10000 + chr(10))"
    deployer = script(body, Limits(seconds=30, grace_seconds=0.2, output_bytes=4 * 1024 * 1024))
    with pytest.raises(DeployFailed, match="more than 4 MiB"):
        await deployer.run(order(), log)
    assert len(log.text) <= 5 * 1024 * 1024
    await wait_gone(int(log.text.split()[0]))


async def test_an_executable_that_is_missing_or_not_executable(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("echo")
    for name in ("missing", "plain"):
        with pytest.raises(DeployFailed, match=f"{name} cannot be started: "):
            await CommandDeployer(tmp_path / name, tmp_path / "runs").run(order(), Lines())
