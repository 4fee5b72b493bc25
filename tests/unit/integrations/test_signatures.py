"""How messages are signed. That others can verify it is tested with the clients."""

import hashlib
import json
from base64 import b64decode, b64encode, urlsafe_b64decode
from datetime import UTC, datetime, timedelta

import pytest

from tieline.core.deliveries import Message
from tieline.core.secret import Secret
from tieline.integrations.signatures import (
    PROTECTED_HEADER,
    SigningKey,
    jws_signature,
    signed_headers,
    weak_key,
    webhook_headers,
)
from tools import vectors

BODY = b'{"id":"x4opi5tjv3yfd"}'
MOMENT = datetime(2026, 11, 24, 10, 0, 0, 999_999, tzinfo=UTC)
NEW, OLD = (SigningKey(Secret(f"{age}-key-of-at-least-32-characters")) for age in ("a-new", "an-old"))


def test_the_published_vectors_are_what_is_sent() -> None:
    assert vectors.FILE.read_text() == vectors.render(), "run make format"
    for vector in json.loads(vectors.FILE.read_text())["vectors"]:
        body = vectors.body_of(vector["body"])
        assert (len(body), hashlib.sha256(body).hexdigest()) == (vector["length"], vector["sha256"])


def test_the_vendors_signature_is_a_detached_jws_with_exactly_its_header() -> None:
    header, payload, signature = jws_signature(BODY, NEW).split(".")
    assert urlsafe_b64decode(header + "==") == PROTECTED_HEADER == b'{"alg":"HS256","b64":false,"crit":["b64"]}'
    assert payload == ""
    assert len(urlsafe_b64decode(signature + "=")) == 32
    assert "=" not in header + signature


def test_two_attempts_differ_in_nothing_but_time() -> None:
    first = signed_headers(Message("msg_1", BODY), MOMENT, [NEW])
    second = signed_headers(Message("msg_1", BODY), MOMENT + timedelta(hours=2), [NEW])
    assert {name for name in first if first[name] != second[name]} == {"webhook-timestamp", "webhook-signature"}
    assert (first["webhook-id"], first["webhook-timestamp"]) == ("msg_1", "1795514400")
    assert first["Content-Type"] == "application/json"


def test_while_a_key_is_replaced_both_sign_the_newest_first() -> None:
    both = signed_headers(Message("msg_1", BODY), MOMENT, [NEW, OLD])
    new, old = (signed_headers(Message("msg_1", BODY), MOMENT, [key]) for key in (NEW, OLD))
    assert both["webhook-signature"] == f"{new['webhook-signature']} {old['webhook-signature']}"
    assert both["X-JWS-Signature"] == new["X-JWS-Signature"]


def test_without_a_key_nothing_is_signed() -> None:
    headers = signed_headers(Message("msg_1", BODY), MOMENT, [])
    assert headers.keys() == {"Content-Type", "webhook-id", "webhook-timestamp"}


@pytest.mark.parametrize("written", ["whsec_QUJDREVGRw==", "whsec_QUJDREVGRw"])
def test_a_key_as_standard_webhooks_write_it_is_decoded_for_them_alone(written: str) -> None:
    plain, encoded = SigningKey.all_of(map(Secret, (b64decode("QUJDREVGRw==").decode(), written)))
    assert webhook_headers("msg_1", MOMENT, BODY, [encoded]) == webhook_headers("msg_1", MOMENT, BODY, [plain])
    assert jws_signature(BODY, encoded) != jws_signature(BODY, plain)


@pytest.mark.parametrize(
    "written", ["whsec_", "whsec_QUJ!", "whsec_Q", "whsec_QUJD-_QUJD", "whsec_äöü", "QUJDREVGRw=="]
)
def test_any_other_key_is_its_text(written: str) -> None:
    text, encoded = SigningKey.all_of(map(Secret, (written, "whsec_" + b64encode(written.encode()).decode())))
    assert webhook_headers("msg_1", MOMENT, BODY, [text]) == webhook_headers("msg_1", MOMENT, BODY, [encoded])


def test_a_key_that_some_cannot_verify_with_is_warned_of_without_quoting_it() -> None:
    warning = weak_key(Secret("hunter22"))
    assert warning is not None
    assert "shorter than 32 bytes (it has 8)" in warning
    assert "openssl rand -base64 32" in warning
    assert "hunter22" not in warning
    assert weak_key(Secret("é" * 16)) is None
    assert weak_key(Secret("k" * 31)) is not None


def test_a_key_that_only_looks_like_one_of_standard_webhooks_is_warned_of() -> None:
    warning = weak_key(Secret("whsec_" + "not base64, and long enough"))
    assert warning is not None
    assert "begins with whsec_, but what follows is not base64" in warning
    assert "enough" not in warning
    assert weak_key(Secret("whsec_pLAYHT1Tll/+UXfviJrsamcyZMRPrfSLc0And5rHQzI=")) is None
