"""Receivers verify what is sent with others' libraries, and with the code of docs/verify-webhooks.md as it is there."""

import json
import re
import runpy
import shutil
import subprocess
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from joserfc.errors import SecurityWarning

from tests.clients.installed import NODE, PACKAGES, present
from tests.clients.pages import DOCS, blocks
from tests.clients.received import Received, late, of_vector, tampered, with_byte
from tieline.core.deliveries import Message
from tieline.core.secret import Secret
from tieline.integrations.signatures import SigningKey, signed_headers
from tools.vectors import body_of

PAGE = (DOCS / "verify-webhooks.md").read_text()
PUBLISHED = json.loads((DOCS / "webhook-vectors.json").read_text())
VECTORS = {vector["name"]: vector for vector in PUBLISHED["vectors"]}
DRIVERS = Path(__file__).with_name("verifiers")
SHORT = "a key that is too short for some libraries"

Verifier = Callable[..., Any]


def received(name: str) -> list[Received]:
    return list(of_vector(VECTORS[name], body_of(VECTORS[name]["body"])))


def every_case() -> list[Received]:
    """Each vector with each of its keys; small ones with every byte changed, the long one with some."""
    long, *_ = received("300 kB")
    places = (0, 128_000, len(long.body) - 1)
    return [
        *(case for name in VECTORS if name != SHORT for case in received(name)),
        *late(received("ascii")[0]),
        *(case for name in ("ascii", "utf-8") for case in tampered(received(name)[0])),
        *tampered(received("a key in the spelling of Standard Webhooks")[0]),
        *(with_byte(long, place, long.body[place] ^ 1) for place in places),
    ]


CASES = every_case()


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Verifier]:
    """What the Python of the page defines."""
    folder = tmp_path_factory.mktemp("python")
    defined: dict[str, Verifier] = {}
    for number, block in enumerate(blocks(PAGE, "Python", "python")):
        file = folder / f"block{number}.py"
        file.write_text(block)
        defined |= runpy.run_path(str(file))
    return defined


def is_accepted(verify: Verifier, *given: Any) -> bool:
    """Whether a library that raises for a wrong signature, each in its own way, takes it."""
    try:
        verify(*given)
    except Exception:  # noqa: BLE001
        return False
    return True


def test_the_python_of_the_page_accepts_what_is_right_and_nothing_else(python: Mapping[str, Verifier]) -> None:
    for case in [*CASES, *received(SHORT)]:
        assert python["verify_webhook"](case.headers, case.body, case.key, case.now) is case.webhook
        assert python["verify_jws"](case.headers, case.body, case.key) is case.jws


@pytest.mark.parametrize("library", ["joserfc", "jwcrypto"])
def test_libraries_of_python_accept_what_is_right_and_nothing_else(
    python: Mapping[str, Verifier], library: str
) -> None:
    verify = python[f"verify_with_{library}"]
    for case in CASES:
        assert is_accepted(verify, case.headers.get("x-jws-signature"), case.body, case.key) is case.jws


def test_the_library_of_standard_webhooks_accepts_what_is_right_and_nothing_else(
    python: Mapping[str, Verifier],
) -> None:
    verify, old, new = python["verify_with_standardwebhooks"], "a-key-of-32-characters-or-more-is-best", "whsec_QUJD"
    now = datetime.now(UTC)
    for keys in ([old], [new], [new, old]):
        message = Message("msg_1", '{"text":"Cloé"}'.encode())
        signed = signed_headers(message, now, SigningKey.all_of(map(Secret, keys)))
        headers = {name.lower(): value for name, value in signed.items()}
        for key in keys:
            assert verify(headers, message.body, key) == {"text": "Cloé"}
        case = Received(headers, message.body, keys[0], int(now.timestamp()), webhook=True, jws=True)
        for changed in tampered(case) if len(keys) == 1 else ():
            assert is_accepted(verify, changed.headers, changed.body, changed.key) is changed.webhook


def test_a_key_that_is_too_short_is_why_there_is_a_warning(python: Mapping[str, Verifier]) -> None:
    case, *_ = received(SHORT)
    given = (case.headers["x-jws-signature"], case.body, case.key)
    assert not is_accepted(python["verify_with_jwcrypto"], *given)
    with pytest.warns(SecurityWarning):
        assert is_accepted(python["verify_with_joserfc"], *given)


def answers(command: list[str | Path], cases: list[Received], folder: Path) -> list[dict[str, bool]]:
    """What a program says of each case."""
    done = subprocess.run(
        command,
        input=json.dumps([case.written() for case in cases]),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: list[dict[str, bool]] = json.loads(done.stdout)
    return said


def test_javascript_accepts_what_is_right_and_nothing_else(tmp_path: Path) -> None:
    own, jose = blocks(PAGE, "JavaScript", "js")
    (tmp_path / "own.mjs").write_text(own)
    (tmp_path / "jose.mjs").write_text(jose)
    (tmp_path / "node_modules").symlink_to(present(PACKAGES))
    program = shutil.copy(DRIVERS / "verify.mjs", tmp_path)
    cases = [*CASES, *received(SHORT)]
    said = answers([present(NODE), program], cases, tmp_path)
    assert said == [{"webhook": case.webhook, "jws": case.jws, "jose": case.jws} for case in cases]


def test_php_and_go_sign_the_same_bytes_in_the_same_order() -> None:
    protected = urlsafe_b64encode(PUBLISHED["protected_header"].encode()).rstrip(b"=").decode()
    (php,), (go,) = blocks(PAGE, "PHP", "php"), blocks(PAGE, "Go", "go")
    assert f"const JWS_HEADER = '{protected}';" in php
    assert "JWS_HEADER . '.' . $body, $key" in php
    assert re.search(r"\['webhook-id'\] \?\? ''\) \. '\.' \. \$sentAt \. '\.' \. \$body;", php)
    assert f'jwsHeader = "{protected}"' in go
    assert 'sign([]byte(key), jwsHeader+"."+string(body))' in go
    assert 'headers.Get("webhook-id") + "." + sentAt + "." + string(body)' in go


@pytest.mark.skipif(shutil.which("php") is None, reason="there is no PHP on this machine")
def test_php_accepts_what_is_right_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "own.php").write_text("".join(blocks(PAGE, "PHP", "php")))
    program = shutil.copy(DRIVERS / "verify.php", tmp_path)
    said = answers(["php", "-d", "memory_limit=-1", program], CASES, tmp_path)
    assert said == [{"webhook": case.webhook, "jws": case.jws} for case in CASES]


@pytest.mark.skipif(shutil.which("go") is None, reason="there is no Go on this machine")
def test_go_accepts_what_is_right_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "own.go").write_text("".join(blocks(PAGE, "Go", "go")))
    shutil.copy(DRIVERS / "verify.go", tmp_path)
    said = answers(["go", "run", "own.go", "verify.go"], CASES, tmp_path)
    assert said == [{"webhook": case.webhook, "jws": case.jws} for case in CASES]
