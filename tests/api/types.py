"""Two integration types for these tests, declared as every other one is: a Git source, and a sink with a URL."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from tieline.core.deliveries import Message, Receipt
from tieline.core.documents import Integration
from tieline.core.ports import Journal, Toolbox
from tieline.core.remote import HookEvent, Ignored, RegisteredHook
from tieline.integrations.base import ActivitySink, Findings, HookRegistrar, IntegrationType, Validator
from tieline.integrations.fields import CALLED_URL, WRITE_ONLY, Fields, IntegrationFields


class Consumer(Fields):
    key: str
    secret: Annotated[str, Field(min_length=1), WRITE_ONLY]


class ForgeFields(IntegrationFields):
    repository: Annotated[str, Field(pattern=r"^[^/]+/[^/]+$")]
    app_credentials: Consumer | None = None
    fetch_branches: bool = True
    prune_branches: bool = True
    environment_init_resources: Literal["default", "manual", "minimum", "parent"] = "default"
    pull_requests_max_pages: Annotated[int, Field(gt=0)] | None = None

    @classmethod
    def settle(cls, values: dict[str, object]) -> dict[str, object]:
        return values | {"prune_branches": values["prune_branches"] and values["fetch_branches"]}


class SinkFields(IntegrationFields):
    url: Annotated[str, CALLED_URL]
    shared_key: Annotated[str | None, WRITE_ONLY] = None


class ForgeHooks:
    def is_signed(self, headers: Mapping[str, str]) -> bool:
        return "x-hub-signature" in headers

    def verify(self, headers: Mapping[str, str], body: bytes, secret: bytes) -> bool:
        given = headers["x-hub-signature"].encode("utf-8", "surrogateescape")
        return bool(secret) and hmac.compare_digest(given, signature(body, secret).encode())

    def parse(self, headers: Mapping[str, str], body: bytes) -> HookEvent | Ignored:
        return Ignored("not read here")


def signature(body: bytes, secret: bytes) -> str:
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


class ForgeRegistrar:
    async def ensure(self, url: str, known_id: str | None) -> tuple[RegisteredHook, bool]:
        return RegisteredHook("h1", url, active=True), False

    async def remove(self, url: str, known_id: str | None) -> None:
        return


class ForgeValidator:
    """Complains about repositories named `missing`."""

    def __init__(self, integration: Integration) -> None:
        self._integration = integration

    async def validate(self, hook_url: str) -> Findings:
        if self._integration.config["repository"].endswith("/missing"):
            return Findings({"repository": f"The repository was not found; hooks would go to {hook_url}."})
        return Findings()


def _registrar(integration: Integration, toolbox: Toolbox) -> HookRegistrar:
    return ForgeRegistrar()


def _validator(integration: Integration, toolbox: Toolbox) -> Validator:
    return ForgeValidator(integration)


class Ear:
    """Nothing is sent to it here."""

    async def deliver(self, message: Message, journal: Journal) -> Receipt:
        raise AssertionError("the API itself tells nobody")


def _sink(integration: Integration, toolbox: Toolbox) -> ActivitySink:
    return Ear()


FORGE = IntegrationType(
    key="forge",
    title="Forge",
    summary="A Git host.",
    fields=ForgeFields,
    example={"repository": "acme/site"},
    is_git_source=True,
    hook_format=ForgeHooks(),
    hook_registrar=_registrar,
    validator=_validator,
)
SINK = IntegrationType(
    key="health.sink",
    title="Sink",
    summary="Hears of everything.",
    fields=SinkFields,
    example={"url": "https://x.example/"},
    sink=_sink,
)
