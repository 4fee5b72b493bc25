import pytest

from tieline.core.errors import EgressRefused
from tieline.core.remote import GitCredentials
from tieline.core.secret import Secret
from tieline.git.remote import Remote

PREFIXES = ("https://bitbucket.org/", "https://git.example.com:8443/scm/")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://bitbucket.org/a/b.git", "https://bitbucket.org/a/b.git"),
        ("https://user@bitbucket.org/a/b.git", "https://bitbucket.org/a/b.git"),
        ("https://user:p%40ss@bitbucket.org/a/b.git", "https://bitbucket.org/a/b.git"),
        ("https://bitbucket.org:443/a/b", "https://bitbucket.org:443/a/b"),
        ("https://BITBUCKET.org/a/b", "https://BITBUCKET.org/a/b"),
        ("https://git.example.com:8443/scm/a/b.git", "https://git.example.com:8443/scm/a/b.git"),
    ],
)
def test_userinfo_is_removed_and_nothing_else(given: str, kept: str) -> None:
    assert Remote(given, None, PREFIXES).url == kept


@pytest.mark.parametrize(
    "url",
    [
        "http://bitbucket.org/a/b",
        "https://bitbucket.org:444/a/b",
        "https://bitbucket.org.evil.test/a",
        "https://bitbucket.org@evil.test/a",
        "https://evil.test/https://bitbucket.org/",
        "https://git.example.com:8443/scmx/a",
        "https://git.example.com:8443/other",
        "https://git.example.com:8443/scm/../other",
        "https://git.example.com:8443/scm/%2e%2e/other",
        "https://git.example.com:8443/scm/%252e%252e/other",
        "https://bitbucket.org/a?x",
        "https://bitbucket.org/a#x",
        "https://bitbucket.org\\@evil.test/",
        "https://bitbucket.org/a\nb",
        "https://bitbucket.org /a",
        "https://[::1/a",
        "https://bitbucket.org:x/a",
        "https://:443/a",
        "https:///a",
        "ssh://git@bitbucket.org/a",
        "git@bitbucket.org:a/b.git",
        "file:///etc",
        "ext::sh -c id",
        "--upload-pack=x",
        "/etc",
        "",
    ],
)
def test_urls_outside_the_prefixes_are_refused(url: str) -> None:
    with pytest.raises(EgressRefused):
        Remote(url, None, PREFIXES)


def test_a_refused_url_is_not_repeated() -> None:
    with pytest.raises(EgressRefused) as refusal:
        Remote("https://user:s3cret@evil.test/a?token=s3cret", None, PREFIXES)
    assert "s3cret" not in str(refusal.value)


def test_what_git_is_told() -> None:
    remote = Remote("https://bitbucket.org/a/b", GitCredentials("x-token-auth", Secret("t0ken")), PREFIXES)
    config = remote.config("104.192.141.1")
    assert config["http.curloptResolve"] == "bitbucket.org:443:104.192.141.1"
    assert config["http.followRedirects"] == "false"
    assert config["http.https://bitbucket.org/.extraHeader"] == "Authorization: Basic eC10b2tlbi1hdXRoOnQwa2Vu"
    assert config["protocol.https.allow"] == "always"
    assert "protocol.http.allow" not in config
    assert remote.config("2001:4860::1")["http.curloptResolve"] == "bitbucket.org:443:[2001:4860::1]"
    assert "t0ken" not in repr(remote)
