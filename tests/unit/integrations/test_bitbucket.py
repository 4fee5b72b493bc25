"""What is Bitbucket's own: spellings of a repository, tokens for add-ons, pull requests in few fields."""

import base64
import json
import re
from typing import Any

import pytest

from tests.contract.conftest import make_integration
from tests.contract.samples import folder_of
from tieline.core.errors import CredentialsRefused, Invalid
from tieline.core.ports import Toolbox
from tieline.core.secret import Secret
from tieline.integrations.bitbucket import TYPE
from tieline.integrations.bitbucket.auth import encode_jwt, query_string_hash
from tieline.integrations.bitbucket.client import BitbucketClient
from tieline.integrations.bitbucket.pulls import PULL_FIELDS, parse_pull
from tieline.integrations.fields import validate_create, validate_patch
from tieline.simulators.bitbucket.payloads import pick_fields

SEED = [
    "fetch_branches",
    "prune_branches",
    "environment_init_resources",
    "app_credentials",
    "addon_credentials",
    "repository",
    "build_pull_requests",
    "pull_requests_clone_parent_data",
    "pull_requests_max_pages",
    "resync_pull_requests",
]


def repository(given: object) -> object:
    return validate_create(TYPE.fields, {"repository": given}).config["repository"]


@pytest.mark.parametrize(
    ("api", "url", "ours"),
    [
        ("https://api.bitbucket.org/2.0", "https://api.bitbucket.org:443/2.0/x?page=2", True),
        ("https://api.bitbucket.org/2.0/", "https://API.bitbucket.org/2.0/x", True),
        ("http://127.0.0.1:80/2.0", "http://127.0.0.1/2.0/x", True),
        ("https://api.bitbucket.org/2.0", "http://api.bitbucket.org:443/2.0/x", False),
        ("https://api.bitbucket.org/2.0", "https://api.bitbucket.org:8443/2.0/x", False),
        ("https://api.bitbucket.org/2.0", "https://api.bitbucket.org.example/2.0/x", False),
    ],
)
def test_an_address_is_of_the_api_however_its_port_is_written(api: str, url: str, *, ours: bool) -> None:
    settings = {"TIELINE_BITBUCKET_API": api, "TIELINE_BITBUCKET_OAUTH": "https://bitbucket.org/token"}
    nothing: Any = None
    assert BitbucketClient(make_integration(), Toolbox(nothing, nothing, settings)).is_ours(url) is ours


def test_the_fields_are_the_seed_s_in_its_order() -> None:
    assert list(validate_create(TYPE.fields, {"repository": "o/r"}).config) == SEED


@pytest.mark.parametrize(
    "given",
    [
        "o/r",
        "/o/r",
        "o/r/",
        "o/r.git",
        "https://bitbucket.org/o/r",
        "https://bitbucket.org/o/r/",
        "https://bitbucket.org/o/r.git",
        "https://sam@bitbucket.org/o/r.git",
        "http://www.bitbucket.org/o/r",
        "https://BITBUCKET.org/o/r",
        "git@bitbucket.org:o/r.git",
        "ssh://git@bitbucket.org/o/r.git",
    ],
)
def test_a_repository_may_be_spelled_as_people_copy_it(given: str) -> None:
    assert repository(given) == "o/r"


@pytest.mark.parametrize("given", ["Acme-1/my.site_2", "~sam/site", "{0f3c2d6e}/{9b1d7f42}", "ümlaut/straße"])
def test_names_are_bitbucket_s_business(given: str) -> None:
    assert repository(given) == given


@pytest.mark.parametrize(
    "given",
    [
        "",
        "/",
        "r",
        "o/",
        "/r",
        "o/r/s",
        "o//r",
        "o/..",
        "../r",
        "./r",
        "o r/s",
        "o/r\n",
        "o/r?x=1",
        "o/r#x",
        "o/%2e%2e",
        "o\\r/s",
        "o/r\x00",
        "https://github.com/o/r",
        "https://bitbucket.org/o",
        "https://bitbucket.org/o/r/src/main",
        "https://bitbucket.org.example/o/r",
        "git@github.com:o/r.git",
        "x:y/z",
        "http://[bitbucket.org/o/r",
    ],
)
def test_what_is_no_repository_is_refused_with_the_form_it_should_have(given: str) -> None:
    with pytest.raises(Invalid) as caught:
        repository(given)
    assert "https://bitbucket.org/user/repo" in caught.value.detail["repository"]


@pytest.mark.parametrize("prune", [True, False, None])
def test_nothing_is_pruned_that_is_not_fetched(prune: bool | None) -> None:  # noqa: FBT001
    body = {"repository": "o/r", "fetch_branches": False, **({} if prune is None else {"prune_branches": prune})}
    assert validate_create(TYPE.fields, body).config["prune_branches"] is False


def test_switching_fetch_off_later_switches_prune_off_too() -> None:
    config = validate_create(TYPE.fields, {"repository": "o/r"}).config
    assert config["prune_branches"] is True
    after = validate_patch(TYPE.fields, "bitbucket", config, {}, {"fetch_branches": False})
    assert (after.config["fetch_branches"], after.config["prune_branches"]) == (False, False)


@pytest.mark.parametrize("secret", ["k", "ATOA" + "x" * 300, "with space : and, ünïcode"])
def test_neither_length_nor_alphabet_of_credentials_is_judged(secret: str) -> None:
    body = {"repository": "o/r", "app_credentials": {"key": secret, "secret": secret}}
    accepted = validate_create(TYPE.fields, body)
    assert accepted.config["app_credentials"] == {"key": secret}


@pytest.mark.parametrize("secret", ["", "  ", "pasted\n", "a\x00b"])
def test_credentials_that_were_copied_badly_are_refused(secret: str) -> None:
    with pytest.raises(Invalid) as caught:
        validate_create(TYPE.fields, {"repository": "o/r", "app_credentials": {"key": "k", "secret": secret}})
    assert list(caught.value.detail) == ["app_credentials.secret"]


def test_the_query_string_hash_is_that_of_the_canonical_request() -> None:
    """SHA-256 of `GET&/path/to/service&first=param&repeated=parameter%201,parameter%202&zee_last=param`."""
    url = "https://example.com/path/to/service?zee_last=param&repeated=parameter 1&first=param&repeated=parameter 2"
    assert query_string_hash("GET", url) == "e52bb281606c3bd9ca16cfe96fe2df78f5d9ffa126f06befd750dfa10fa1a897"


def test_a_token_is_signed_as_others_sign_theirs() -> None:
    """The signature is that of `openssl dgst -sha256 -hmac secret` over head and claims."""
    token = encode_jwt({"iss": "addon"}, Secret("secret"))
    head, claims, signature = token.split(".")
    assert json.loads(_decode(head)) == {"typ": "JWT", "alg": "HS256"}
    assert json.loads(_decode(claims)) == {"iss": "addon"}
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", signature)
    assert token == OPENSSL


def test_a_secret_that_cannot_sign_is_refused_without_being_shown() -> None:
    secret = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ"
    with pytest.raises(CredentialsRefused, match="shared secret") as caught:
        encode_jwt({"iss": "addon"}, Secret(secret))
    assert secret not in f"{caught.value} {caught.value!r}"


OPENSSL = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJhZGRvbiJ9.WNHQ_PKhyA4q19Jh8vqhpf8FTuyd_IB73mQYaaeqwJo"


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _documents() -> list[Any]:
    """Every pull request in the payloads."""
    payloads = [json.loads(path.read_text()) for path in sorted(folder_of("bitbucket").glob("pullrequest_*.json"))]
    return [payload["pullrequest"] for payload in payloads]


def test_the_fields_that_are_asked_for_are_all_that_is_read() -> None:
    documents = _documents()
    assert len(documents) >= 9
    for document in documents:
        part = pick_fields(document, [name.split(".") for name in PULL_FIELDS])
        assert parse_pull(part, "acme/site") == parse_pull(document, "acme/site")
        assert len(json.dumps(part)) < len(json.dumps(document))


def pull(source: object, destination: object, **more: object) -> dict[str, Any]:
    return {"id": 1, "state": "OPEN", "source": source, "destination": destination, **more}


@pytest.mark.parametrize(
    ("source", "destination", "is_fork"),
    [
        ({"uuid": "{1}", "full_name": "acme/old"}, {"uuid": "{1}", "full_name": "acme/new"}, False),
        ({"uuid": "{2}", "full_name": "acme/site"}, {"uuid": "{1}", "full_name": "acme/site"}, True),
        ({"full_name": "ACME/Site"}, {"full_name": "acme/site"}, False),
        ({"full_name": "sam/site"}, {"full_name": "acme/site"}, True),
        ({"full_name": "Acme/Site"}, None, False),
        (None, {"uuid": "{1}", "full_name": "acme/site"}, True),
    ],
)
def test_a_fork_is_told_by_id_or_by_name(source: object, destination: object, is_fork: bool) -> None:  # noqa: FBT001
    document = pull({"repository": source}, {"repository": destination})
    assert parse_pull(document, "acme/site").is_fork is is_fork


@pytest.mark.parametrize("end", [None, {}, {"branch": None, "commit": None, "repository": None}, {"branch": 5}, []])
def test_what_is_gone_is_none(end: object) -> None:
    parsed = parse_pull(pull(end, end), "acme/site")
    assert (parsed.source_branch, parsed.source_repository, parsed.target_branch, parsed.head) == (None,) * 4


@pytest.mark.parametrize(
    ("state", "expected"),
    [("OPEN", "open"), ("MERGED", "merged"), ("DECLINED", "declined"), ("SUPERSEDED", "declined")],
)
def test_states(state: str, expected: str) -> None:
    assert parse_pull(pull(None, None, state=state, draft=True), "a/b").state == expected


def test_a_state_of_tomorrow_is_no_end() -> None:
    """One pull request in a new state must not stop all others, nor have its environment removed."""
    assert parse_pull(pull(None, None, state="QUEUED"), "acme/site").state == "open"
