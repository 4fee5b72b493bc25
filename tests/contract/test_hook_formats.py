"""What every type that reads webhooks keeps to, on payloads as its host sends them."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract.samples import HOOKS, Payload, folder_of
from tieline.core.errors import Invalid
from tieline.core.remote import HookEvent, Ignored
from tieline.integrations import ALL
from tieline.integrations.base import IntegrationType, Registry

PAYLOADS = [(key, payload) for key, samples in HOOKS.items() for payload in samples.payloads]

each_hook_type = pytest.mark.parametrize(
    "kind",
    [kind for kind in ALL if kind.hook_format is not None],
    ids=[kind.key for kind in ALL if kind.hook_format is not None],
)
each_payload = pytest.mark.parametrize(
    ("key", "payload"), PAYLOADS, ids=[f"{payload.path.parts[-4]}-{payload.path.stem}" for _, payload in PAYLOADS]
)


@each_hook_type
def test_every_hook_that_is_asked_for_has_a_payload(kind: IntegrationType) -> None:
    read = {payload.expected.name for payload in HOOKS[kind.key].payloads if payload.expected is not None}
    assert set(kind.hook_events) <= read


@each_hook_type
def test_every_payload_has_an_expectation(kind: IntegrationType) -> None:
    known = {payload.path for payload in HOOKS[kind.key].payloads}
    assert set(folder_of(kind.key).glob("*.json")) <= known


@each_payload
def test_payloads_are_taken_for_what_they_are(key: str, payload: Payload) -> None:
    format_ = Registry(ALL, toolbox=None)[key].hook_format  # type: ignore[arg-type]
    assert format_ is not None
    result = format_.parse(payload.headers, payload.body())
    if payload.expected is None:
        assert isinstance(result, Ignored)
        assert result.reason
    else:
        assert result == payload.expected


@each_hook_type
def test_only_the_right_signature_is_accepted(kind: IntegrationType) -> None:
    format_, sign = kind.hook_format, HOOKS[kind.key].sign
    assert format_ is not None
    body, secret = b'{"push": {"changes": []}, "name": "\xc3\xa4"}', b"a secret of ours"
    right = sign(body, secret)
    assert format_.is_signed(right)
    assert format_.verify(right, body, secret)
    assert not format_.verify(right, body + b" ", secret)
    assert not format_.verify(right, body, secret + b"x")
    assert not format_.verify(sign(body, b""), body, b"")
    assert not format_.is_signed({})
    assert not format_.verify({}, body, secret)


@each_hook_type
@pytest.mark.parametrize(
    "given", ["", " ", "sha256=", "ÿþ", "sha256=ÿ", "\ud800", "\x00", "sha1=" + "0" * 40, "a" * 10_000]
)
def test_a_nonsensical_signature_is_refused_without_an_exception(kind: IntegrationType, given: str) -> None:
    format_ = kind.hook_format
    assert format_ is not None
    for name in HOOKS[kind.key].sign(b"", b"secret"):
        assert format_.verify({name: given}, b"{}", b"secret") is False


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
)
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


@st.composite
def mutants(draw: st.DrawFn, document: Any) -> Any:
    """The document with one thing in it gone, or replaced by whatever."""
    copy = orjson.loads(orjson.dumps(document))
    found = copy
    for _ in range(draw(st.integers(0, 4))):
        if not isinstance(found, dict | list) or not found:
            break
        key = draw(st.sampled_from(sorted(found) if isinstance(found, dict) else range(len(found))))
        if not isinstance(found[key], dict | list) or not found[key] or draw(st.booleans()):
            if draw(st.booleans()):
                del found[key]
            else:
                found[key] = draw(DOCUMENTS)
            break
        found = found[key]
    return copy


def read(kind: IntegrationType, headers: dict[str, str], body: bytes) -> HookEvent | Ignored | Invalid:
    """Whatever else is raised fails the test."""
    assert kind.hook_format is not None
    try:
        return kind.hook_format.parse(headers, body)
    except Invalid as error:
        return error


@each_hook_type
@FUZZ
@given(data=st.data())
def test_malformed_payloads_are_invalid_and_nothing_else(kind: IntegrationType, data: st.DataObject) -> None:
    present = [payload for payload in HOOKS[kind.key].payloads if payload.path.exists()]
    payload = data.draw(st.sampled_from(present))
    mutant = data.draw(mutants(orjson.loads(payload.path.read_bytes())))
    result = read(kind, dict(payload.headers), json.dumps(mutant).encode())
    assert isinstance(result, HookEvent | Ignored) or result.detail


@each_hook_type
@FUZZ
@given(body=st.binary(max_size=200), names=st.dictionaries(st.text(max_size=10), st.text(max_size=20), max_size=3))
def test_bytes_that_mean_nothing_are_invalid_and_nothing_else(
    kind: IntegrationType, body: bytes, names: dict[str, str]
) -> None:
    assert isinstance(read(kind, names, body), Ignored)
    for payload in HOOKS[kind.key].payloads:
        result = read(kind, dict(payload.headers), body)
        assert isinstance(result, Invalid if payload.expected else Ignored | Invalid)


@each_hook_type
def test_deep_and_endless_documents_are_invalid(kind: IntegrationType) -> None:
    for payload in HOOKS[kind.key].payloads:
        for body in (b"", b"[" * 100_000, b'{"a":' * 100_000, b"null", b"[]", b'"\xff"', b"1e999", b"{} {}"):
            result = read(kind, dict(payload.headers), body)
            assert isinstance(result, Invalid if payload.expected else Ignored | Invalid)


def test_a_known_digest_verifies() -> None:
    """RFC 4231, test case 2: not computed by anything of ours."""
    digest = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    format_ = Registry(ALL, toolbox=None)["bitbucket"].hook_format  # type: ignore[arg-type]
    assert format_ is not None
    assert format_.verify({"x-hub-signature": f"sha256={digest}"}, b"what do ya want for nothing?", b"Jefe")
