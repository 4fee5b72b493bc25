"""Activity script: its fields, and what happens when it runs."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Annotated, Any, Final

import orjson
from pydantic import AfterValidator

from tieline.core.deliveries import Message, Receipt
from tieline.core.documents import JSON, Integration, Variable
from tieline.core.errors import DatabaseAway, Invalid, RemoteError, Unavailable
from tieline.core.http import HTTPClient, Request, Response
from tieline.core.ports import Journal, ScriptEnd, Scripting, ScriptStore, Toolbox
from tieline.core.redact import Redactor, origin_of, variable_texts
from tieline.integrations.base import Findings, IntegrationType
from tieline.integrations.events import EventFields, Ordered

_RETRY_SECONDS: Final = 60.0
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# They are the client's: with them a script could make one request look like two to whoever shares its connection.
_CLIENTS_HEADERS: Final = frozenset(
    {
        "connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer",
        "transfer-encoding", "upgrade",
    }
)  # fmt: skip


def _script(value: str) -> str:
    if not value.strip():
        raise ValueError("Must not be empty: this is the source of the script.")
    return value


class ScriptFields(EventFields):
    """The fields of an activity script, in the order they are read."""

    script: Annotated[str, AfterValidator(_script)]
    """The source of the script, in JavaScript."""

    ordered: Ordered = True


@dataclass(frozen=True)
class ActivityScript:
    """Runs the script of one integration. A request of it may take `fetch_seconds`."""

    integration: Integration
    http: HTTPClient
    scripting: Scripting | None
    fetch_seconds: float = 20.0

    async def deliver(self, message: Message, journal: Journal) -> Receipt:
        """Run it once. After its first request or change of what it keeps it is never run again."""
        if self.scripting is None:
            return _not_run("Nothing here runs scripts.")
        variables = await self.scripting.store.variables(self.integration.id)
        secrets = [text for each in variables if each.is_sensitive for text in variable_texts(each)]
        host = _Host(
            self.integration.id, self.http, self.scripting.store, journal, Redactor(secrets), self.fetch_seconds
        )
        try:
            end = await self.scripting.runner.run(
                self.integration.config["script"],
                world_of(message.document(), variables),
                host,
                self.integration.id,
            )
        except DatabaseAway:
            raise
        except Unavailable as error:
            return _not_run(str(error))
        return await host.conclude(end)

    async def validate(self, _hook_url: str) -> Findings:
        if self.scripting is None:
            return Findings()
        problem = await self.scripting.runner.check(self.integration.config["script"])
        return Findings({"script": problem} if problem else {})


@dataclass
class _Host:
    """What the script may ask for, of one integration and in one attempt."""

    integration_id: str
    http: HTTPClient
    store: ScriptStore
    journal: Journal
    redactor: Redactor = field(repr=False)
    fetch_seconds: float
    has_effects: bool = False

    async def log(self, text: str) -> None:
        await self.journal.write(self.redactor.text(text))

    async def fetch(self, request: Request) -> Response:
        allowed = replace(allowed_request(request), seconds=self.fetch_seconds, owner=self.integration_id)
        await self._before_effect()
        shown, began = f"{request.method} {origin_of(request.url)}", time.monotonic()
        try:
            response = await self.http.send(allowed)
        except RemoteError as error:
            await self.log(f"{shown}: {error}")
            raise
        await self.log(f"{shown}: {status_line(response.status)} after {time.monotonic() - began:.2f} s")
        return response

    async def get(self, key: str) -> str | None:
        return await self.store.get(self.integration_id, key)

    async def set(self, key: str, value: str) -> None:
        await self._before_effect()
        await self.store.set(self.integration_id, key, value)

    async def remove(self, key: str) -> None:
        await self._before_effect()
        await self.store.remove(self.integration_id, key)

    async def clear(self) -> None:
        await self._before_effect()
        await self.store.clear(self.integration_id)

    async def conclude(self, end: ScriptEnd) -> Receipt:
        """Write down how it ended."""
        if not end.error:
            return Receipt("delivered", "The script ran to its end.")
        if end.stack:
            await self.log(end.stack)
        may_run_again = end.error == "lost" and not self.has_effects
        return Receipt("retry" if may_run_again else "refused", self.redactor.text(end.sentence), error="script")

    async def _before_effect(self) -> None:
        await self.journal.before_effect()
        self.has_effects = True


def world_of(activity: JSON, variables: Sequence[Variable]) -> JSON:
    """The globals of a script. Pure."""
    return {
        "activity": activity,
        "project": activity.get("payload", {}).get("project"),
        "variables": {each.name: _value_of(each) for each in variables},
    }


def _value_of(variable: Variable) -> Any:
    value = variable.value.reveal()
    return orjson.loads(value) if variable.is_json else value


def allowed_request(request: Request) -> Request:
    """The request without the headers that are not the script's. Raises `Invalid` for what is not HTTP. Pure."""
    if request.method not in _METHODS:
        raise Invalid(
            {"method": f"fetch: the method {request.method[:20]!r} is not one of {', '.join(sorted(_METHODS))}"}
        )
    for name in request.headers:
        if not _TOKEN.fullmatch(name):
            raise Invalid({"headers": f"fetch: {name[:40]!r} is not the name of a header"})
    kept = {name: value for name, value in request.headers.items() if name.lower() not in _CLIENTS_HEADERS}
    return replace(request, headers=kept)


def status_line(status: int) -> str:
    """A status with what HTTP calls it. Pure."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _not_run(reason: str) -> Receipt:
    return Receipt("retry", reason, error="internal", retry_after=_RETRY_SECONDS, counted=False)


def _activity_script(integration: Integration, toolbox: Toolbox) -> ActivityScript:
    return ActivityScript(integration, toolbox.http, toolbox.scripting, toolbox.delivery_seconds)


TYPE: Final = IntegrationType(
    key="script",
    title="Script",
    summary="A script of yours runs on the project's activities.",
    fields=ScriptFields,
    example={
        "type": "script",
        "script": "console.log(activity.type);\n",
        "events": ["environment.push"],
        "states": ["complete"],
        "environments": ["*"],
    },
    sink=_activity_script,
    validator=_activity_script,
)
