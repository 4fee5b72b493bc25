"""The composition root: the only module that knows every room, and the integration types there are."""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
from starlette.types import ASGIApp

import tieline
from tieline.activities.environment import EnvironmentActivities, Workshop
from tieline.activities.runner import Runner
from tieline.activities.secrets import KnownSecrets
from tieline.activities.signals import Signals
from tieline.activities.statuses import BuildStatuses
from tieline.activities.stream import LogStream
from tieline.activities.trees import prepare_trees, remove_abandoned
from tieline.api.documents import Writer
from tieline.api.services import Development, Services
from tieline.core.clock import now
from tieline.core.errors import Unavailable
from tieline.core.ports import Deployer, Scripting, Toolbox
from tieline.core.secret import Secret
from tieline.deploy.command import CommandDeployer, Limits
from tieline.deploy.document import render_order
from tieline.deploy.none import NoDeployer
from tieline.dispatch.dispatcher import Dispatcher
from tieline.dispatch.fanout import FanOut
from tieline.engine.worker import GRACE_SECONDS, Engine
from tieline.git.mirror import Repositories
from tieline.git.version import git_version
from tieline.http_server import HTTPServer, allow_files, give_back_memory, listen, until_started
from tieline.integrations import ALL
from tieline.integrations.base import Registry
from tieline.net.client import GuardedClient
from tieline.net.egress import Policy
from tieline.net.resolve import resolve_pinned
from tieline.scripts.runner import ScriptProcesses
from tieline.server_log import configure_server_log
from tieline.settings import Settings, load_settings, load_type_settings
from tieline.store import accounts, deliveries, due, receivers
from tieline.store.database import TROUBLE, Connection, Database
from tieline.store.embedded import EmbeddedServer
from tieline.store.listener import Listener
from tieline.store.migrate import load_upgrade
from tieline.store.migrate import migrate as migrate_database
from tieline.store.rates import PostgresLimiter
from tieline.store.script_storage import PostgresScriptStore
from tieline.store.seal import SecretBox
from tieline.store.secrets import adopt_key, seal_fields
from tieline.sync.handlers import SourceWork
from tieline.sync.reconcile import Surroundings

if TYPE_CHECKING:
    from tieline.seeds.export import Exporter
    from tieline.seeds.load import Ground
    from tieline.seeds.seed import Seed

log = structlog.get_logger()

CreateApp = Callable[[Services], ASGIApp]
TRIM_SECONDS: Final = 600.0
REVIVE_SECONDS: Final = 1.0
SENDING_CONNECTIONS: Final = 6


def read_settings() -> Settings:
    """The settings of the environment. Raises `Invalid` with a sentence for each that is wrong."""
    return load_settings(setting for kind in ALL for setting in kind.settings)


def serve(settings: Settings, *, worker: bool = True, seed: Path | None = None) -> None:
    """Run the API, and the worker beside it, until SIGTERM or SIGINT.

    What the file `seed` says and the database does not have is loaded first. Raises `Invalid` when it is wrong.
    """
    allow_files()
    give_back_memory()
    # An address that is taken is found out before anything else has been begun.
    with listen(*settings.host_and_port) as listening:
        configure_server_log(settings.log_level)
        with ThreadPoolExecutor(1) as beside:
            # Most of a start is loading the API. PostgreSQL, which is another process, starts meanwhile.
            create_app = beside.submit(_load_api)
            if not settings.database_url.get_secret_value() and not (settings.data / "postgres").exists():
                beside.submit(load_upgrade)
            with _postgres(settings) as postgres:
                migrate_database(postgres.dsn)
                bound = settings.at_port(listening.getsockname()[1])
                asyncio.run(_serve(bound, postgres, listening, create_app.result(), worker=worker, seed=seed))


def _load_api() -> CreateApp:
    from tieline.api.application import create_app  # noqa: PLC0415

    return create_app


def work(settings: Settings) -> None:
    """Run a worker alone, until SIGTERM or SIGINT."""
    allow_files()
    configure_server_log(settings.log_level)
    with _postgres(settings) as postgres:
        migrate_database(postgres.dsn)
        asyncio.run(_work(settings, postgres))


def migrate(settings: Settings) -> None:
    """Bring the database to this version."""
    with _postgres(settings) as postgres:
        migrate_database(postgres.dsn)


def export(settings: Settings, project_ids: Sequence[str]) -> tuple[bytes, Mapping[str, Secret]]:
    """A seed of these projects, or of all, read from the database; and the secrets that it refers to, by variable.

    Raises `NotFound`, and `Conflict` when it is too much.
    """
    with _postgres(settings) as postgres:
        migrate_database(postgres.dsn)
        return asyncio.run(_export(settings, postgres.dsn, project_ids))


async def _export(settings: Settings, dsn: str, project_ids: Sequence[str]) -> tuple[bytes, Mapping[str, Secret]]:
    async with open_house(settings, dsn) as house:
        return await house.exporter().export_with_secrets(project_ids)


@dataclass
class _Postgres:
    """Where the database is, and the server of it that is ours, if it is."""

    dsn: str
    embedded: EmbeddedServer | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether it started with this process, so that no other worker can be alive on it."""
        return self.embedded is not None and self.embedded.is_alone

    async def keep_up(self) -> None:
        """Start the embedded server again should it ever end by itself, or with the process that owned it."""
        while self.embedded is not None:
            await asyncio.sleep(REVIVE_SECONDS)
            try:
                self.embedded.keep_up()
            except Unavailable as error:
                log.error("postgres.cannot_start", reason=str(error))  # noqa: TRY400 - the sentence says it all


@contextlib.contextmanager
def _postgres(settings: Settings) -> Iterator[_Postgres]:
    if dsn := settings.database_url.get_secret_value():
        yield _Postgres(dsn)
        return
    embedded = EmbeddedServer(settings.data.absolute())
    embedded.start()
    try:
        yield _Postgres(embedded.dsn, embedded)
    finally:
        embedded.stop()


@dataclass
class House:
    """Every room, joined."""

    settings: Settings
    db: Database
    box: SecretBox = field(repr=False)
    listener: Listener
    http: GuardedClient
    policy: Policy
    registry: Registry
    repositories: Repositories
    signals: Signals
    logs: LogStream
    trees: Path

    def services(self, seed: "Seed | None" = None) -> Services:
        """What the API works with. A server in development goes back to `seed`, or to nothing."""
        return Services(
            db=self.db,
            box=self.box,
            registry=self.registry,
            listener=self.listener,
            read_log=self.logs.read,
            repository=self.repositories.read,
            export=self._export,
            public_url=self.settings.base_url,
            reconcile_seconds=self.settings.reconcile_seconds,
            token_keys=self.settings.keys(),
            check_url=self.policy.check_url,
            checks={"git": git_version},
            development=self._playground(seed) if self.settings.development else None,
        )

    async def _export(self, project_ids: Sequence[str] = (), /) -> bytes:
        return await self.exporter().export(project_ids)

    def exporter(self) -> "Exporter":
        """What writes seeds of the database."""
        # What seeds need takes a tenth of a second to load, and most servers never have to do with one.
        from tieline.seeds.export import Exporter  # noqa: PLC0415

        return Exporter(self.db, self.box, self.registry)

    def _playground(self, seed: "Seed | None") -> Development:
        from tieline.seeds.playground import Playground  # noqa: PLC0415
        from tieline.seeds.seed import Seed  # noqa: PLC0415

        return Playground(self.db, self._ground(), seed or Seed())

    def _ground(self) -> "Ground":
        from tieline.seeds.load import Ground  # noqa: PLC0415

        return Ground(self.registry, self.box, self.settings.first_token()[0])

    def read_seed(self, path: Path) -> "Seed":
        """What a file says. Raises `Invalid` naming each place that is wrong."""
        from tieline.seeds.read import read_seed  # noqa: PLC0415
        from tieline.seeds.references import look_up_in  # noqa: PLC0415

        look_up = look_up_in(path.absolute().parent)
        return read_seed(path.read_bytes(), self.registry, look_up, now(), self.settings.reconcile_seconds)

    async def load(self, conn: Connection, seed: "Seed | None") -> None:
        """The first administrator, and what the seed says and is not there yet."""
        if seed is None:
            await accounts.ensure_operator(conn, self.settings.first_token()[0])
            return
        from tieline.seeds.load import load  # noqa: PLC0415

        await load(conn, self._ground(), seed)

    def engine(self, dsn: str) -> Engine:
        """The worker with everything it can be woken for."""
        sources = SourceWork(self._surroundings())
        runner = self._runner(sources)
        handlers = {
            "run_activity": runner.run,
            "read_hooks": sources.read_hooks,
            "probe": sources.probe,
            "remove_integration": sources.remove_integration,
            "maintain": sources.maintain,
        }
        return Engine(dsn, handlers, self._sweep, concurrency=self.settings.worker_concurrency)

    def dispatcher(self, db: Database) -> Dispatcher:
        """What tells the outside of what happened, over connections of its own."""
        fan_out = FanOut(db, self.settings.base_url)
        return Dispatcher(db, self.box, self.registry, self.listener, fan_out, self.settings.delivery_schedule)

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            db=self.db,
            box=self.box,
            registry=self.registry,
            repositories=self.repositories,
            hook_url=Writer(self.settings.base_url, self.registry).hook_url,
            reconcile_seconds=self.settings.reconcile_seconds,
        )

    def _runner(self, sources: SourceWork) -> Runner:
        workshop = Workshop(
            db=self.db,
            box=self.box,
            repositories=self.repositories,
            deployer=_deployer(self.settings),
            write_order=render_order,
            trees=self.trees,
            bring_commits=sources.bring_commits,
        )
        handlers = {**EnvironmentActivities(workshop).handlers(), **sources.activity_handlers()}
        statuses = BuildStatuses(self.registry, self.box, self.settings.base_url)
        secrets = KnownSecrets(self.db, self.box, self.registry)
        return Runner(self.db, self.signals, handlers, secrets.redactor_of, statuses.announce)

    async def _sweep(self) -> None:
        async with self.db.connection() as conn:
            await due.wake_due(conn)

    async def keep_trimming(self) -> None:
        """Forget what is kept only for a while, a little at a time."""
        while True:
            try:
                async with self.db.connection() as conn:
                    await due.trim(conn)
                    await deliveries.expire(conn, self.settings.delivery_keep_days, self.settings.delivery_hold_days)
                await remove_abandoned(self.trees, self.db)
            except TROUBLE as error:
                log.warning("trim.lost_database", reason=str(error))
            except Exception:
                log.exception("trim.failed")
            await asyncio.sleep(TRIM_SECONDS)


@asynccontextmanager
async def open_house(settings: Settings, dsn: str) -> AsyncIterator[House]:
    """Open the database, the listener and the way out; close them at the end."""
    async with AsyncExitStack() as stack:
        db = await stack.enter_async_context(Database(dsn))
        box = SecretBox(settings.keys())
        listener = Listener(dsn)
        signals = Signals(listener)
        await listener.start()
        stack.push_async_callback(listener.close)
        policy = Policy(settings.networks)
        http = GuardedClient(policy, f"Tieline/{tieline.__version__}")
        stack.push_async_callback(http.close)
        scripts = ScriptProcesses()
        stack.push_async_callback(scripts.close)
        scripting = Scripting(scripts, PostgresScriptStore(db, box))
        type_settings = load_type_settings(setting for kind in ALL for setting in kind.settings)
        tools = Toolbox(http, PostgresLimiter(db), type_settings, settings.delivery_seconds, scripting=scripting)
        yield House(
            settings=settings,
            db=db,
            box=box,
            listener=listener,
            http=http,
            policy=policy,
            registry=Registry(ALL, tools),
            repositories=Repositories(settings.data.absolute() / "repositories", partial(resolve_pinned, policy), http),
            signals=signals,
            logs=LogStream(db, signals),
            trees=prepare_trees(settings.data.absolute() / "trees"),
        )


async def _serve(
    settings: Settings,
    postgres: _Postgres,
    listening: socket.socket,
    create_app: CreateApp,
    *,
    worker: bool,
    seed: Path | None,
) -> None:
    stop = _stop_signal()
    async with open_house(settings, postgres.dsn) as house, _background(house, postgres), _sending(postgres) as sending:
        seeded = house.read_seed(seed) if seed is not None else None
        is_new = await _prepare(house, seeded)
        engine, dispatcher = house.engine(postgres.dsn), house.dispatcher(sending)
        server = HTTPServer(create_app(house.services(seeded)))
        serving = asyncio.create_task(server.serve([listening]), name="http")
        try:
            if worker:
                await engine.start(alone=postgres.is_fresh)
                await dispatcher.start(alone=postgres.is_fresh)
            await until_started(server, serving)
            _spare_collector()
            _announce(settings, is_new=is_new)
            await _first(asyncio.create_task(stop.wait()), serving)
        finally:
            server.should_exit = True
            house.logs.close()
            # Requests and jobs end side by side, so that both together keep within the ten seconds of a stop.
            await asyncio.gather(serving, engine.stop(), dispatcher.stop(GRACE_SECONDS))


def _spare_collector() -> None:
    """Have the garbage collector leave alone what lives as long as the process: looking at it stops everything."""
    gc.freeze()
    gc.enable()


async def _work(settings: Settings, postgres: _Postgres) -> None:
    stop = _stop_signal()
    async with open_house(settings, postgres.dsn) as house, _background(house, postgres), _sending(postgres) as sending:
        await _prepare(house, None)
        engine, dispatcher = house.engine(postgres.dsn), house.dispatcher(sending)
        try:
            await engine.start(alone=postgres.is_fresh)
            await dispatcher.start(alone=postgres.is_fresh)
            _spare_collector()
            print("Tieline works. Stop it with Ctrl-C.", flush=True)  # noqa: T201 - the operator's terminal
            await stop.wait()
        finally:
            await asyncio.gather(engine.stop(), dispatcher.stop(GRACE_SECONDS))


async def _prepare(house: House, seed: "Seed | None") -> bool:
    """The first administrator, the seed, and secrets under the current key; whether the token was made just now."""
    if resealed := await adopt_key(house.db, house.box):
        log.info("secrets.resealed", count=resealed)
    if sealed := await seal_fields(house.db, house.box, house.registry.sealed):
        log.info("secrets.sealed", count=sealed)
    _, is_new = house.settings.first_token()
    async with house.db.transaction() as conn:
        await house.load(conn, seed)
        await receivers.mark_sinks(conn, [kind.key for kind in house.registry if kind.sink is not None])
    return is_new


@asynccontextmanager
async def _background(house: House, postgres: _Postgres) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(house.keep_trimming()), asyncio.create_task(postgres.keep_up())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _sending(postgres: _Postgres) -> AsyncIterator[Database]:
    """The connections of who delivers, so that whoever asks the API never waits for those."""
    async with Database(postgres.dsn, max_size=SENDING_CONNECTIONS, plans_once=True) as db:
        yield db


async def _first(*tasks: asyncio.Task[object] | asyncio.Task[None]) -> None:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _announce(settings: Settings, *, is_new: bool) -> None:
    lines = [f"Tieline {tieline.__version__} is ready at {settings.base_url}"]
    if is_new:
        token, _ = settings.first_token()
        lines.append(f"Your administrator's token, shown this once, kept in {settings.data / 'admin-token'}:")
        lines.append(token.reveal())
    print("\n".join(lines), flush=True)  # noqa: T201 - the operator's terminal


def _deployer(settings: Settings) -> Deployer:
    command = settings.deploy_command
    if command is None:
        return NoDeployer()
    return CommandDeployer(
        command.absolute(), settings.data.absolute() / "runs", Limits(seconds=settings.deploy_seconds)
    )
