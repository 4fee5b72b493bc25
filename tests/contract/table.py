"""The wire contract's section on integration types, transcribed by hand: what each field is, and values to try.

Nothing here is derived from a declaration; the declarations are compared with it.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

Kind = Literal["string", "boolean", "integer", "strings", "map", "object", "date-time"]

REQUIRED: Final = object()
COMMON: Final = ("id", "created_at", "updated_at", "type", "role")


@dataclass(frozen=True)
class Row:
    """One field. `full` is what a full body has, `other` what a patch changes it to, `wrong` what is refused.

    `wrong` holds only values of the right JSON type; those of a wrong one are the same for all fields of a kind.
    `sealed` are secrets although they are read; `own` is Tieline's and is read only while it is not the default.
    """

    kind: Kind
    default: Any = REQUIRED
    full: Any = None
    other: Any = None
    wrong: tuple[Any, ...] = ()
    enum: tuple[str, ...] = ()
    nullable: bool = False
    write_only: bool = False
    sealed: bool = False
    own: bool = False
    read_only: bool = False
    parts: dict[str, "Row"] = field(default_factory=dict)
    limits: tuple[int | None, int | None] = (None, None)

    @property
    def is_required(self) -> bool:
        return self.default is REQUIRED


EMPTY: Final = ("", "   ")
URLS: Final = ("", "example.com", "ftp://example.com/", "https://", "https:///path", "javascript:alert(1)")
REPOSITORIES: Final = ("", "acme", "acme/", "acme/site/more", "acme/..", "https://elsewhere.example/acme/site")


def switch(default: bool) -> Row:  # noqa: FBT001
    return Row("boolean", default, full=True, other=False)


def url(default: Any = REQUIRED, **more: Any) -> Row:
    return Row("string", default, full="https://a.example.com/x", other="http://b.example.com:8080", wrong=URLS, **more)


def secret(default: Any = REQUIRED, **more: Any) -> Row:
    return Row(
        "string", default, full="SECRET-one", other="SECRET-two", wrong=(*EMPTY, "two\nlines"), write_only=True, **more
    )


def text(full: str, other: str, default: Any = REQUIRED, **more: Any) -> Row:
    return Row("string", default, full=full, other=other, wrong=("two\nlines",) if default == "" else EMPTY, **more)


GIT: Final = {
    "fetch_branches": switch(True),
    "prune_branches": switch(True),
    "environment_init_resources": Row(
        "string", "default", full="parent", other="minimum", enum=("default", "manual", "minimum", "parent")
    ),
}
EVENTS: Final = {
    "events": Row("strings", ["*"], full=["environment.push", "environment.*"], other=["*"], wrong=([""],)),
    "environments": Row("strings", ["*"], full=["main"], other=["main", "pr-*"], wrong=([" "],)),
    "excluded_environments": Row("strings", [], full=["staging"], other=[], wrong=([""],)),
    "states": Row("strings", ["complete"], full=["pending", "complete"], other=["scheduled"], wrong=(["finished"],)),
    "result": Row("string", "*", full="success", other="failure", enum=("*", "failure", "success")),
}
ORDERED: Final = Row("boolean", default=True, full=False, other=True, own=True)
EXTRA: Final = Row("map", {}, full={"team": "shop"}, other={"a": "b"}, wrong=({"a": "x" * 4096},))
TAIL: Final = {
    "tls_verify": switch(True),
    "excluded_services": Row("strings", [], full=["cache", "db"], other=["app"], wrong=([""],)),
    "redaction": switch(False),
}
HEADERS: Final = Row(
    "map",
    {},
    full={"Authorization": "Bearer x", "X-A": "b, c"},
    other={"X-B": ""},
    wrong=({"two words": "x"}, {"": "x"}, {"A": "x\r\ny"}, {"A": "1", "a": "2"}),
    sealed=True,
)
LOG_URL: Final = {"extra": EXTRA, "url": url()}

TYPES: Final[dict[str, dict[str, Row]]] = {
    "bitbucket": {
        **GIT,
        "app_credentials": Row(
            "object",
            None,
            full={"key": "abc123", "secret": "SECRET-one"},
            other={"key": "def456", "secret": "SECRET-two"},
            nullable=True,
            parts={"key": text("abc123", "def456"), "secret": secret()},
        ),
        "addon_credentials": Row(
            "object",
            None,
            full={"addon_key": "a", "client_key": "c", "shared_secret": "SECRET-one"},
            other=None,
            nullable=True,
            parts={"addon_key": text("a", "b"), "client_key": text("c", "d"), "shared_secret": secret()},
        ),
        "repository": Row("string", full="acme/site", other="acme/shop", wrong=REPOSITORIES),
        "build_pull_requests": switch(True),
        "pull_requests_clone_parent_data": switch(True),
        "pull_requests_max_pages": Row("integer", None, full=3, other=None, nullable=True, wrong=(0, -1)),
        "resync_pull_requests": switch(False),
    },
    "bitbucket_server": {
        **GIT,
        "url": url(),
        "username": text("sam", "kim"),
        "token": secret(),
        "project": Row("string", full="ACME", other="~sam", wrong=("", "a/b", "..")),
        "repository": Row("string", full="site", other="shop", wrong=("", "a/b", "..")),
        "build_pull_requests": switch(True),
        "pull_requests_clone_parent_data": switch(True),
    },
    "github": {
        **GIT,
        "token": secret(),
        "base_url": url(None, nullable=True),
        "repository": Row("string", full="acme/site", other="acme/shop", wrong=REPOSITORIES),
        "build_pull_requests": switch(True),
        "build_draft_pull_requests": switch(True),
        "build_pull_requests_post_merge": switch(False),
        "pull_requests_clone_parent_data": switch(True),
        "token_type": Row(
            "string", "classic_personal_token", read_only=True, enum=("classic_personal_token", "github_app")
        ),
    },
    "gitlab": {
        **GIT,
        "token": secret(),
        "token_expires_at": Row("date-time", None, nullable=True, read_only=True),
        "rotate_token": switch(False),
        "rotate_token_validity_in_weeks": Row("integer", 4, full=8, other=52, wrong=(0, 53)),
        "base_url": url("https://gitlab.com"),
        "project": Row(
            "string", full="acme/web/site", other="acme/shop", wrong=("", "acme", "acme/", "https://x.example/a/b")
        ),
        "build_merge_requests": switch(True),
        "build_wip_merge_requests": switch(True),
        "merge_requests_clone_parent_data": switch(True),
    },
    "webhook": {
        **EVENTS,
        "shared_key": text("a key", "another", None, nullable=True, sealed=True),
        "url": url(),
        "ordered": ORDERED,
    },
    "script": {
        **EVENTS,
        "script": Row("string", full="console.log(1);\n", other="// nothing\n", wrong=("", " \n")),
        "ordered": ORDERED,
    },
    "cdn.fastly": {
        **EVENTS,
        "token": secret(),
        "service_id": text("SU1Z0isxPaozGVKXdv0eY", "another"),
        "tls_certificates": switch(False),
    },
    "health.email": {
        "from_address": Row(
            "string", None, full="a@example.com", other=None, nullable=True, wrong=("", "nobody", "a@b c")
        ),
        "recipients": Row(
            "strings",
            full=["#admins", "ops@example.com"],
            other=["#viewers"],
            wrong=([], ["nobody"], ["#everybody"], ["a@example.com, b@example.com"]),
        ),
    },
    "health.pagerduty": {"routing_key": text("a-routing-key", "another", sealed=True)},
    "health.slack": {"token": secret(), "channel": text("#operations", "C0123")},
    "health.webhook": {"shared_key": secret(None, nullable=True), "url": url()},
    "httplog": {**LOG_URL, "headers": HEADERS, **TAIL},
    "otlplog": {**LOG_URL, "headers": HEADERS, **TAIL},
    "newrelic": {**LOG_URL, "license_key": secret(), **TAIL},
    "splunk": {
        **LOG_URL,
        "index": text("main", "site"),
        "token": secret(),
        "sourcetype": text("app", "web", ""),
        **TAIL,
    },
    "sumologic": {"extra": EXTRA, "url": url(sealed=True), "category": text("site/web", "site/db", ""), **TAIL},
    "syslog": {
        "extra": EXTRA,
        "host": Row(
            "string",
            "localhost",
            full="syslog.example.com",
            other="2606:4700::1111",
            wrong=("", "a b", "https://a.example", "a.example:514", "-a.example", "[::1]"),
        ),
        "port": Row("integer", 6514, full=514, other=0, limits=(0, 65535)),
        "protocol": Row("string", "tls", full="tcp", other="udp", enum=("tcp", "tls", "udp")),
        "facility": Row("integer", 1, full=0, other=23, limits=(0, 23)),
        "message_format": Row("string", "rfc5424", full="rfc3164", other="rfc5424", enum=("rfc3164", "rfc5424")),
        "auth_token": Row("string", "", full="SECRET-one", other="SECRET-two", wrong=("two\nlines",), write_only=True),
        "auth_mode": Row(
            "string",
            "prefix",
            full="structured_data",
            other="prefix",
            write_only=True,
            enum=("prefix", "structured_data"),
        ),
        **TAIL,
    },
    "blackfire": {
        "environments_credentials": Row("map", {}, read_only=True),
        "continuous_profiling": Row("boolean", False, read_only=True),
    },
}

# Switches that are off while another one is.
NEEDS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "bitbucket": {"fetch_branches": ("prune_branches",)},
    "bitbucket_server": {"fetch_branches": ("prune_branches",)},
    "github": {
        "fetch_branches": ("prune_branches",),
        "build_pull_requests": (
            "build_draft_pull_requests",
            "build_pull_requests_post_merge",
            "pull_requests_clone_parent_data",
        ),
    },
    "gitlab": {
        "fetch_branches": ("prune_branches",),
        "build_merge_requests": ("build_wip_merge_requests", "merge_requests_clone_parent_data"),
    },
}

# Fields that hold an address which is called.
ADDRESSES: Final[dict[str, str]] = {
    "bitbucket_server": "url",
    "github": "base_url",
    "gitlab": "base_url",
    "webhook": "url",
    "health.webhook": "url",
    "httplog": "url",
    "otlplog": "url",
    "newrelic": "url",
    "splunk": "url",
    "sumologic": "url",
    "syslog": "host",
}
