"""Every setting of the operator's: its default and one sentence.

Integration types bring settings of their own (`IntegrationType.settings`); they are read by `type_settings`.
"""

import difflib
import os
import secrets
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tieline.core.errors import Invalid
from tieline.core.secret import Secret
from tieline.dispatch.schedule import Schedule
from tieline.integrations.base import Setting
from tieline.net.egress import parse_networks
from tieline.net.ranges import Network

PREFIX: Final = "TIELINE_"
_LONGEST_WAIT: Final = 7 * 86400.0
# Beyond this moments have no place in a calendar.
_MOST_DAYS: Final = 36_500
# Read by the command line as a client of some server, not by the server.
CLIENT_SETTINGS: Final = frozenset({"TIELINE_SERVER", "TIELINE_TOKEN", "TIELINE_PROJECT"})


def _listen(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not (colon and host and port.isascii() and port.isdecimal() and int(port) < 65536):  # noqa: PLR2004
        raise ValueError("must be address:port, e.g. 127.0.0.1:8420")
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if value and not (parts.scheme in ("http", "https") and parts.hostname and not parts.query):
        raise ValueError("must be a URL like https://tieline.example.com")
    return value


def _networks(value: str) -> str:
    try:
        parse_networks(value)
    except ValueError as error:
        raise ValueError(f"{error}; write networks like 10.1.0.0/16,fd00::/8") from None
    return value


def _deployer(value: str) -> str:
    if value == "none":
        return value
    kind, _, path = value.partition(":")
    if kind != "command" or not path:
        raise ValueError("must be none or command:/path/to/executable")
    if not os.access(path, os.X_OK) or not Path(path).is_file():
        raise ValueError(f"{path} is not an executable file")
    return value


def _waits(value: str) -> str:
    try:
        waits = [float(part) for part in _parts(value)]
    except ValueError:
        waits = []
    if not waits or not all(0 < each <= _LONGEST_WAIT for each in waits):
        raise ValueError("must be seconds separated by commas, each above 0 and at most a week, e.g. 5,300,1800")
    return value


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


class Settings(BaseSettings):
    """Read from the environment once, at start. An unknown TIELINE_ variable refuses the start."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    listen: Annotated[str, AfterValidator(_listen)] = Field("127.0.0.1:8420", description="Address and port.")
    public_url: Annotated[str, AfterValidator(_url)] = Field(
        "", description="How Git hosts and links reach it; `http://<listen>` when empty."
    )
    data: Path = Field(Path("tieline-data"), description="Embedded database, repositories, keys.")
    database_url: SecretStr = Field(SecretStr(""), description="PostgreSQL to use; embedded when empty.")
    admin_token: SecretStr = Field(
        SecretStr(""), description="API token of the first administrator; generated once when empty."
    )
    secret_key: SecretStr = Field(
        SecretStr(""), description="Encrypts secrets; a comma list, the first encrypts; generated once when empty."
    )
    egress_allow: Annotated[str, NoDecode, AfterValidator(_networks)] = Field(
        "", description="CIDRs that outgoing traffic may reach besides public ones."
    )
    reconcile_seconds: Annotated[float, Field(gt=0)] = Field(300.0, description="Timer of the reconcile, in seconds.")
    deployer: Annotated[str, AfterValidator(_deployer)] = Field(
        "none", description="`none` or `command:/path/to/executable`."
    )
    deploy_seconds: Annotated[float, Field(gt=0)] = Field(
        3600.0, description="Time limit of one action of the deployer, in seconds."
    )
    delivery_retry_seconds: Annotated[str, NoDecode, AfterValidator(_waits)] = Field(
        "5,300,1800,7200,18000,36000,36000",
        description="Seconds before each further attempt to deliver, give or take a fifth; then it is given up.",
    )
    delivery_seconds: Annotated[float, Field(gt=0, le=300)] = Field(
        20.0, description="Time limit of one delivery, in seconds."
    )
    delivery_breaker_failures: Annotated[int, Field(ge=1)] = Field(
        10, description="After so many failures in a row a receiver is left alone for a while."
    )
    delivery_breaker_seconds: Annotated[float, Field(gt=0, le=_LONGEST_WAIT)] = Field(
        10.0, description="For so long at first, in seconds; twice as long after each further failure, up to 5 minutes."
    )
    delivery_pause_seconds: Annotated[float, Field(gt=0, le=_MOST_DAYS * 86400)] = Field(
        432_000.0, description="After so many seconds of nothing but failures an integration is paused."
    )
    delivery_keep_days: Annotated[float, Field(gt=0, le=_MOST_DAYS)] = Field(
        30.0, description="How long deliveries that ended can be looked up and replayed, in days."
    )
    delivery_hold_days: Annotated[float, Field(gt=0, le=_MOST_DAYS)] = Field(
        90.0, description="How long deliveries are held for a paused integration, in days."
    )
    worker_concurrency: Annotated[int, Field(ge=1, le=100)] = Field(
        10, description="Builds and other work on environments at once, per worker process."
    )
    development: bool = Field(
        False, description="Whether operators may remember and bring back the whole state: for tests of clients only."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged.")

    @cached_property
    def host_and_port(self) -> tuple[str, int]:
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @cached_property
    def base_url(self) -> str:
        """The public URL without a trailing slash."""
        return (self.public_url or f"http://{self.listen}").rstrip("/")

    def at_port(self, port: int) -> "Settings":
        """The same with the port that was given to a listener who had asked for any, which is port 0."""
        host = self.listen.rpartition(":")[0]
        return Settings(**{**dict(iter(self)), "listen": f"{host}:{port}"})

    @cached_property
    def networks(self) -> tuple[Network, ...]:
        """`egress_allow`, parsed."""
        return parse_networks(self.egress_allow)

    @cached_property
    def delivery_schedule(self) -> Schedule:
        """When deliveries are tried again, and when no more."""
        return Schedule(
            waits=[float(part) for part in _parts(self.delivery_retry_seconds)],
            breaker_failures=self.delivery_breaker_failures,
            breaker_seconds=self.delivery_breaker_seconds,
            pause_seconds=self.delivery_pause_seconds,
        )

    @cached_property
    def deploy_command(self) -> Path | None:
        """The executable of the `command` deployer; None for `none`."""
        return None if self.deployer == "none" else Path(self.deployer.removeprefix("command:"))

    def keys(self) -> tuple[Secret, ...]:
        """The keys for secrets at rest; generated on first use. Raises `Invalid` when there is none."""
        given = self.secret_key.get_secret_value() or _kept(self.data / "secret-key").reveal()
        keys = tuple(Secret(part) for part in _parts(given))
        if not keys:
            place = "This setting" if self.secret_key else f"The file {self.data / 'secret-key'}"
            raise Invalid({"TIELINE_SECRET_KEY": f"{place} holds no key."}, "The settings are wrong.")
        return keys

    def first_token(self) -> tuple[Secret, bool]:
        """The first administrator's API token, and whether it was made just now."""
        if given := self.admin_token.get_secret_value():
            return Secret(given), False
        path = self.data / "admin-token"
        existed = path.exists()
        return _kept(path), not existed


def load_settings(type_settings: Iterable[Setting]) -> Settings:
    """The settings of the environment. Raises `Invalid` with one sentence per variable that is wrong."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {each.name for each in type_settings}
    problems = {
        name: f"There is no such setting{_suggest(name, known)}"
        for name in os.environ
        if name.startswith(PREFIX) and name not in known | CLIENT_SETTINGS
    }
    try:
        settings = Settings()
    except ValidationError as error:
        for each in error.errors():
            name = PREFIX + str(each["loc"][0]).upper()
            said = each["msg"].removeprefix("Value error, ")
            problems[name] = f"{said[0].upper()}{said[1:]}."
        raise Invalid(problems, "The settings are wrong.") from None
    if problems:
        raise Invalid(problems, "The settings are wrong.")
    return settings


def load_type_settings(type_settings: Iterable[Setting]) -> dict[str, str]:
    """The values of the settings that integration types declare."""
    return {each.name: os.environ.get(each.name) or each.default for each in type_settings}


def _suggest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]}?" if near else "."


def _kept(path: Path) -> Secret:
    """A secret made once and kept in a file that only its owner can read, whole or not there at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return Secret(path.read_text().strip())
