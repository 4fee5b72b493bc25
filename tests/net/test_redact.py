from tieline.core.redact import Redactor, origin_of, redact_url
from tieline.core.secret import Secret


def test_masks_secrets_in_every_spelling() -> None:
    redactor = Redactor([Secret('s3cr/t+"x'), "other-token"])
    for text in ('a s3cr/t+"x b', "q=s3cr%2Ft%2B%22x", 'say "s3cr/t+\\"x"', "other-token"):
        assert "********" in redactor.text(text)
        assert "s3cr" not in redactor.text(text)


def test_masks_the_longest_first() -> None:
    assert Redactor(["abcd", "abcdef"]).text("abcdef") == "********"


def test_masks_userinfo_and_authorization_without_knowing_them() -> None:
    said = Redactor().text("unable to access 'https://u:p@ss@host/x'; Authorization: Basic Zm9v\nnext")
    assert said == "unable to access 'https://********@host/x'; Authorization: ********\nnext"


def test_leaves_text_without_secrets_alone() -> None:
    assert (
        Redactor(["", "a"]).text("a banana at https://host/a@b, mail me@x.org")
        == "a banana at https://host/a@b, mail me@x.org"
    )


def test_urls_for_messages() -> None:
    assert redact_url("https://u:p@host:1/a?token=x#y") == "https://host:1/a?********"
    assert origin_of("https://u:p@host:1/services/SECRET?x") == "https://host:1"
    assert redact_url("http://[::1/") == origin_of("http://[::1/") == "(malformed URL)"
