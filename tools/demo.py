"""`make demo`: Tieline, a simulated Bitbucket and a receiver of webhooks, tied together through the public API.

Everything lives in a temporary folder and ends with the program. `--once` ends after the tour.
"""

import argparse
import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import aiohttp
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

T = TypeVar("T")
JSON = dict[str, Any]

TIELINE: Final = Path(sys.executable).with_name("tieline")
SITE_DEPLOYER: Final = Path(__file__).resolve().parents[1] / "examples" / "deployers" / "static-site" / "deploy"
TOKEN: Final = "demo-token-of-a-server-that-only-you-can-reach"  # noqa: S105 - it opens nothing but the demo
REPOSITORY: Final = "acme/site"
CONSUMER: Final = {"key": "sample-key", "secret": "sample-secret"}
BRANCHES: Final = ("feature/search", "redesign")
PATIENCE_SECONDS: Final = 60.0
SHOWN_LINES: Final = 20
# Where the simulators begin to tell what to do with them.
DEVELOPER: Final = "Be its developer:"
MISBEHAVIOUR: Final = "Have this receiver misbehave"
KEY: Final = "demo-key-that-webhooks-are-signed-with"
# How the receiver ends what it says of a delivery that is signed as it should be.
VERIFIED: Final = "JWS valid, Standard Webhooks valid  -> 200"


class DemoFailed(Exception):
    """Something of the demo did not come about; the message says what, and what its program said."""


@dataclass
class Places:
    """Where everything is."""

    folder: Path
    tieline_port: int
    bitbucket_port: int
    receiver_port: int

    @property
    def tieline(self) -> str:
        return f"http://127.0.0.1:{self.tieline_port}"

    @property
    def bitbucket(self) -> str:
        return f"http://127.0.0.1:{self.bitbucket_port}"

    @property
    def hook(self) -> str:
        return f"http://127.0.0.1:{self.receiver_port}/hook"

    @property
    def deployer(self) -> Path:
        return self.folder / "deployer"

    def settings(self) -> dict[str, str]:
        """What the demo tells Tieline."""
        return {
            "TIELINE_LISTEN": f"127.0.0.1:{self.tieline_port}",
            "TIELINE_DATA": str(self.folder / "tieline"),
            "TIELINE_ADMIN_TOKEN": TOKEN,
            "TIELINE_DEPLOYER": f"command:{self.deployer}",
            "TIELINE_EGRESS_ALLOW": "127.0.0.0/8",
            "TIELINE_BITBUCKET_API": f"{self.bitbucket}/2.0",
            "TIELINE_BITBUCKET_OAUTH": f"{self.bitbucket}/site/oauth2/access_token",
        }


@dataclass
class Stage:
    """The programs of the demo and a client of their API."""

    places: Places
    http: aiohttp.ClientSession
    programs: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    project: str = ""

    async def start(self, name: str, *command: str | Path, settings: Mapping[str, str] | None = None) -> None:
        """Start a program; its output goes to a file of its own."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("TIELINE_")}
        with self.output_of(name).open("wb") as output:
            self.programs[name] = await asyncio.create_subprocess_exec(
                *command,
                env={**inherited, **(settings or {})},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def output_of(self, name: str) -> Path:
        return self.places.folder / f"{name}.log"

    def last_words(self) -> str:
        """The end of what each program has said."""
        said = {name: self.output_of(name).read_text(errors="replace").splitlines() for name in self.programs}
        return "".join(f"\n\n{name} said:\n" + "\n".join(lines[-SHOWN_LINES:]) for name, lines in said.items())

    async def stop(self) -> None:
        """End what was started, the last first, and every site that was deployed."""
        for process in reversed(self.programs.values()):
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
                await process.wait()
        if self.places.deployer.exists():
            quiet = asyncio.subprocess.DEVNULL
            process = await asyncio.create_subprocess_exec(self.places.deployer, "stop-all", stdout=quiet)
            await process.wait()

    async def call(self, method: str, path: str, body: JSON | None = None) -> Any:
        """The JSON of an answer of Tieline's API."""
        async with self.http.request(method, self.places.tieline + path, json=body) as answer:
            document = await answer.json()
        if not answer.ok:
            raise DemoFailed(f"{method} {path} answered {answer.status}: {document}")
        return document

    async def until(self, what: str, check: Callable[[], Awaitable[T | None]]) -> T:
        """The first answer of `check` that is something. Raises `DemoFailed` when a program ends or time is up."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if answer := await check():
                return answer
            for name, process in self.programs.items():
                if process.returncode is not None:
                    raise DemoFailed(f"{name} ended.{self.last_words()}")
            await asyncio.sleep(0.05)
        raise DemoFailed(f"Waited {PATIENCE_SECONDS:.0f} seconds for {what}.{self.last_words()}")

    async def until_said(self, name: str, words: str) -> None:
        """Wait for a program's own word: on its port, somebody else's program might answer."""
        output = self.output_of(name)

        async def said() -> bool:
            return words in output.read_text(errors="replace")

        await self.until(f"{name} to be ready", said)


def free_port(wanted: int) -> int:
    """The wanted port of the loopback address, or one that is free."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoFailed("No port of 127.0.0.1 is free.")


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own account can reach too, should this be root."""
    folder = Path(tempfile.mkdtemp(prefix="tieline-demo-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@asynccontextmanager
async def open_stage(folder: Path) -> AsyncIterator[Stage]:
    places = Places(folder, free_port(8420), free_port(8421), free_port(8422))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        stage = Stage(places, http)
        try:
            yield stage
        finally:
            await stage.stop()


async def start_bitbucket(stage: Stage) -> None:
    address = f"127.0.0.1:{stage.places.bitbucket_port}"
    folder = stage.places.folder / "bitbucket"
    await stage.start("bitbucket", TIELINE, "simulate", "bitbucket", "--listen", address, "--data", str(folder))
    await stage.until_said("bitbucket", DEVELOPER)


async def start_receiver(stage: Stage) -> None:
    command = (sys.executable, "-m", "tieline.simulators.receiver", "--port", str(stage.places.receiver_port))
    await stage.start("receiver", *command, settings={"RECEIVER_KEY": KEY})
    await stage.until_said("receiver", MISBEHAVIOUR)


async def start_tieline(stage: Stage) -> None:
    places = stage.places
    places.deployer.write_text(
        "#!/bin/sh\n# The static site example, told where to keep its sites.\n"
        f"export STATIC_SITE_ROOT='{places.folder / 'sites'}'\nexec '{SITE_DEPLOYER}' \"$@\"\n"
    )
    places.deployer.chmod(0o755)
    await stage.start("tieline", TIELINE, "serve", settings=places.settings())
    await stage.until_said("tieline", "is ready at")


async def create_project(stage: Stage) -> None:
    created = await stage.call("POST", "/projects", {"title": "Demo"})
    stage.project = f"/projects/{created['_embedded']['entity']['id']}"
    webhook = {"type": "webhook", "url": stage.places.hook, "shared_key": KEY, "events": ["environment.*"]}
    await stage.call("POST", f"{stage.project}/integrations", webhook)


async def connect(stage: Stage) -> None:
    integration = {
        "type": "bitbucket",
        "repository": REPOSITORY,
        "app_credentials": CONSUMER,
        "environment_init_resources": "parent",
    }
    await stage.call("POST", f"{stage.project}/integrations", integration)


async def environments(stage: Stage) -> dict[str, JSON]:
    return {each["id"]: each for each in await stage.call("GET", f"{stage.project}/environments")}


async def wait_for_environments(stage: Stage) -> None:
    async def appeared() -> bool:
        found = await environments(stage)
        names = {each["name"] for each in found.values() if not each["is_pr"]}
        return names >= {"main", *BRANCHES} and "pr-1" in found

    await stage.until("branches and pull request to appear", appeared)


async def activate_branches(stage: Stage) -> None:
    """Branches start inactive, as at Upsun; a tour is nicer with all of them running."""
    for each in (await environments(stage)).values():
        if each["name"] in BRANCHES and not each["is_pr"]:
            await stage.call("POST", f"{stage.project}/environments/{each['id']}/activate")

    async def all_deployed() -> bool:
        return all(url_of(each) for each in (await environments(stage)).values())

    await stage.until("every environment to be deployed", all_deployed)


def deliveries(stage: Stage) -> list[str]:
    """What the receiver has said of each webhook that arrived."""
    said = stage.output_of("receiver").read_text().partition(MISBEHAVIOUR)[2]
    return [line for line in said.splitlines() if " -> " in line]


async def wait_for_webhooks(stage: Stage) -> None:
    """Every environment that runs was deployed by an activity that the receiver is told of."""
    expected = len(await environments(stage))

    async def told() -> bool:
        return len(deliveries(stage)) >= expected

    await stage.until("webhooks to arrive", told)
    if unsigned := [each for each in deliveries(stage) if not each.endswith(VERIFIED)]:
        raise DemoFailed("A webhook is not signed as it should be:\n" + "\n".join(unsigned))


def url_of(environment: JSON) -> str:
    return str(environment["_links"].get("public-url", {}).get("href", ""))


STEPS: Final = (
    ("Start a simulated Bitbucket with the repository acme/site", start_bitbucket),
    ("Start a receiver of webhooks, which verifies their signatures", start_receiver),
    ("Start Tieline on its embedded PostgreSQL", start_tieline),
    ("Create a project with a webhook to that receiver", create_project),
    ("Connect it to the repository", connect),
    ("Wait for the branches and the pull request", wait_for_environments),
    ("Activate the branches, build and deploy", activate_branches),
    ("Wait for the receiver to be told", wait_for_webhooks),
)


async def perform(stage: Stage, console: Console) -> None:
    """The steps, with their progress."""
    columns = (SpinnerColumn(finished_text="[green]✓"), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        for title, step in STEPS:
            task = progress.add_task(title, total=1)
            await step(stage)
            progress.update(task, completed=1)


async def show(stage: Stage, console: Console) -> None:
    """The integrations as they are answered, the environments with what their pages say, the webhooks that arrived."""
    console.print(f"\n[bold]GET {stage.project}/integrations")
    console.print_json(data=await stage.call("GET", f"{stage.project}/integrations"))
    table = Table(box=box.SIMPLE, pad_edge=False, title="Environments", title_justify="left", title_style="bold")
    for heading in ("Environment", "Branch", "Status", "URL", "Its page says"):
        table.add_column(heading, overflow="fold", no_wrap=heading != "Its page says")
    for each in (await environments(stage)).values():
        shown = (each["id"], each["name"], each["status"], url_of(each))
        table.add_row(*map(escape, (*shown, await headline(url_of(each)))))
    console.print(table)
    console.print("[bold]What the receiver of the webhook says")
    tell(console, "\n".join(deliveries(stage)))


async def headline(url: str) -> str:
    """The heading of a page. Raises `DemoFailed` when the URL of an environment does not work."""
    async with aiohttp.ClientSession() as visitor, visitor.get(url) as answer:
        text = await answer.text()
    _, found, rest = text.partition("<h1>")
    if not answer.ok or not found:
        raise DemoFailed(f"{url} answered {answer.status}:\n{text}")
    return rest.partition("</h1>")[0]


def invite(stage: Stage, console: Console, *, once: bool) -> None:
    """What to try next. Every line can be pasted into a shell."""
    client = {
        "TIELINE_SERVER": stage.places.tieline,
        "TIELINE_TOKEN": TOKEN,
        "TIELINE_PROJECT": stage.project.rpartition("/")[2],
    }
    exports = "".join(f"  export {name}={value}\n" for name, value in client.items())
    bitbucket, receiver = (stage.output_of(name).read_text() for name in ("bitbucket", "receiver"))
    stays = "\nWithout ONCE=1 all this keeps serving, and there is more to try.\n" if once else "\n"
    console.print(f"{stays}[bold]Watch it follow[/], in another terminal and in this folder:\n")
    tell(
        console,
        f'{exports}  export PATH="$PWD/.venv/bin:$PATH"\n  tieline activity list\n  tieline activity log --follow\n',
    )
    tell(console, bitbucket[bitbucket.index(DEVELOPER) :].rstrip())
    tell(console, receiver[receiver.index(MISBEHAVIOUR) :].partition("\n\n")[0])
    tell(console, "See what became of it:\n  tieline delivery list webhook\n")


def tell(console: Console, text: str) -> None:
    """Print what is to be pasted: as it is, in lines as long as they are."""
    console.print(text, markup=False, soft_wrap=True)


async def run(*, once: bool) -> None:
    """The tour; then everything keeps serving until Ctrl-C, unless this is to end at `once`."""
    console = Console(highlight=False)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with temporary_folder() as folder:
        async with open_stage(folder) as stage:
            tour = asyncio.ensure_future(_tour(stage, console, once=once))
            await asyncio.wait([tour, asyncio.ensure_future(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
            if not tour.done():
                tour.cancel()
                return
            await tour
            if not once:
                console.print("[bold]Serving until Ctrl-C.[/] Everything of this demo is removed then.")
                await stop.wait()


async def _tour(stage: Stage, console: Console, *, once: bool) -> None:
    await perform(stage, console)
    await show(stage, console)
    invite(stage, console, once=once)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the tour")
    try:
        asyncio.run(run(once=parser.parse_args().once))
    except DemoFailed as failure:
        print(f"The demo failed. {failure}", file=sys.stderr)
        sys.exit(1)


main()
