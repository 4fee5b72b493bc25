import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable

import pytest

from tests.unit.core.samples import NOW
from tieline.core.documents import Variable
from tieline.core.redact import FEW, Redactor, origin_of, texts_in, variable_texts
from tieline.core.secret import Secret


def test_masks_secrets_in_every_spelling() -> None:
    redactor = Redactor([Secret('s3cr/t+"x'), "other-token"])
    for text in ('a s3cr/t+"x b', "q=s3cr%2Ft%2B%22x", 'say "s3cr/t+\\"x"', "other-token"):
        assert "********" in redactor.text(text)
        assert "s3cr" not in redactor.text(text)


@pytest.mark.parametrize("before", ["", "x", "x-token-auth:", "ab"])
@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
def test_masks_secrets_in_base64_wherever_they_begin(before: str, encode: Callable[[bytes], bytes]) -> None:
    secret = "s3cr/t+~~~?>-canary"
    text = encode(f"{before}{secret}@after".encode()).decode()
    masked = Redactor([secret]).text(f"header {text} end")
    kept = masked.removeprefix("header ").removesuffix(" end").split("********")
    assert len(kept) == 2
    assert sum(map(len, kept)) <= len(text) - len(secret)


def test_masks_a_secret_of_several_lines_line_by_line() -> None:
    redactor = Redactor(["-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQ==\n-----END KEY-----\n"])
    assert redactor.text("-----BEGIN KEY-----") == "-----BEGIN KEY-----"
    assert redactor.text("MIIEvQIBADANBg") == redactor.text("kqhkiG9w0BAQ==") == "********"


def test_masks_the_longest_first() -> None:
    assert Redactor(["abcd", "abcdef"]).text("abcdef") == "********"


def test_masks_many_secrets_as_it_masks_few() -> None:
    many = [f"secret-{number:04}" for number in range(FEW)]
    text = "".join(f"<{each}>" for each in [*many, "secret-"])
    assert Redactor(many).text(text) == "<********>" * FEW + "<secret->"
    assert Redactor(many[:2]).text(text).startswith("<********><********><secret-0002>")


def test_every_text_of_a_json_value_is_one_and_credentials_are_without_their_scheme_too() -> None:
    value = {"Authorization": "Bearer t0ken", "X-A": "b, c", "more": [{"deep": "pass"}, 5, None, True]}
    assert list(texts_in(value)) == ["Bearer t0ken", "t0ken", "b, c", "c", "pass"]


def test_a_variable_is_masked_as_it_is_kept_and_as_scripts_see_it() -> None:
    plain = Variable("i", "A", Secret('"s3cret"'), {}, False, True, NOW, None)
    parsed = Variable("i", "A", Secret('"s3cret"'), {}, True, True, NOW, None)
    assert list(variable_texts(plain)) == ['"s3cret"']
    assert list(variable_texts(parsed)) == ['"s3cret"', "s3cret"]


def test_masks_userinfo_and_authorization_without_knowing_them() -> None:
    said = Redactor().text("unable to access 'https://u:p@ss@host/x'; Authorization: Basic Zm9v\nnext")
    assert said == "unable to access 'https://********@host/x'; Authorization: ********\nnext"


@pytest.mark.parametrize("part", ["a", "a://", "a:", "://a ", "authorization ", "authorization: ", "@"])
def test_a_long_line_takes_no_time_whatever_it_is_made_of(part: str) -> None:
    line = part * (64 * 1024 // len(part))
    began = time.monotonic()
    Redactor(["secret"]).text(line)
    assert time.monotonic() - began < 1


def test_leaves_text_without_secrets_alone() -> None:
    assert (
        Redactor(["", "a"]).text("a banana at https://host/a@b, mail me@x.org")
        == "a banana at https://host/a@b, mail me@x.org"
    )


def test_urls_for_messages() -> None:
    assert origin_of("https://u:p@host:1/services/SECRET?x") == "https://host:1"
    assert origin_of("http://[::1/") == "(malformed URL)"
