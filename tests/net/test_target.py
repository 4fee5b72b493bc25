"""Where URLs lead: whom to dial, what `Host` says, and what is asked for."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.core.errors import EgressRefused
from tieline.net.egress import Policy
from tieline.net.target import target_of


@pytest.mark.parametrize(
    ("url", "host", "port", "authority", "path"),
    [
        ("http://example.com", "example.com", 80, "example.com", "/"),
        ("https://example.com/", "example.com", 443, "example.com", "/"),
        ("HTTPS://Example.COM/Path", "example.com", 443, "example.com", "/Path"),
        ("http://example.com:80/", "example.com", 80, "example.com", "/"),
        ("https://example.com:80/", "example.com", 80, "example.com:80", "/"),
        ("http://example.com:443/", "example.com", 443, "example.com:443", "/"),
        ("http://example.com:/x", "example.com", 80, "example.com", "/x"),
        ("http://example.com?x=1", "example.com", 80, "example.com", "/?x=1"),
        ("http://example.com/?", "example.com", 80, "example.com", "/"),
        ("http://example.com#f", "example.com", 80, "example.com", "/"),
        ("http://example.com/a?b#c?d", "example.com", 80, "example.com", "/a?b"),
        ("http://example.com//other.test/x", "example.com", 80, "example.com", "//other.test/x"),
        ("http://example.com/http://other.test/", "example.com", 80, "example.com", "/http://other.test/"),
        ("http://example.com/a/../b", "example.com", 80, "example.com", "/a/../b"),
        ("https://example.com./x", "example.com.", 443, "example.com", "/x"),
        ("http://8.8.8.8./", "8.8.8.8.", 80, "8.8.8.8", "/"),
        ("http://[2606:4700::1111]/", "2606:4700::1111", 80, "[2606:4700::1111]", "/"),
        ("https://[2606:4700::ABCD]:444/", "2606:4700::abcd", 444, "[2606:4700::abcd]:444", "/"),
    ],
)
def test_a_url_leads_to_one_place(url: str, host: str, port: int, authority: str, path: str) -> None:
    target = target_of(url)
    assert (target.host, target.port, target.authority, target.path) == (host, port, authority, path)
    assert target.is_tls == url.lower().startswith("https")


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("/%2F%20?a=%26&b=%C3%A9", "/%2F%20?a=%26&b=%C3%A9"),
        ("/a+b;c=d,e@f:g!$&'()*~?x[]=/?", "/a+b;c=d,e@f:g!$&'()*~?x[]=/?"),
        ("/100%", "/100%"),
        ("/é?q=ü", "/%C3%A9?q=%C3%BC"),
        ("/%C3%A9é", "/%C3%A9%C3%A9"),
        ("/\u2028\x85", "/%E2%80%A8%C2%85"),
        # What RFC 3986 does not have in a URL, and some servers refuse.
        ('/{a}|b?c=<d>^`"', "/%7Ba%7D%7Cb?c=%3Cd%3E%5E%60%22"),
    ],
)
def test_what_a_url_may_not_have_is_encoded_and_nothing_twice(written: str, asked: str) -> None:
    assert target_of(f"http://example.com{written}").path == asked


@pytest.mark.parametrize(
    ("url", "name"),
    [("https://Example.com", "example.com"), ("https://example.com.", "example.com"), ("https://[::1]", "::1")],
)
def test_a_certificate_is_for_the_name_without_a_dot_at_its_end(url: str, name: str) -> None:
    assert target_of(url).server_name == name


def test_only_the_same_host_port_and_kind_of_connection_are_one_origin() -> None:
    urls = ["http://a.test", "https://a.test", "http://a.test:443", "http://b.test", "http://a.test."]
    assert len({target_of(url).origin for url in urls}) == len(urls)
    assert target_of("http://A.test/x").origin == target_of("http://a.test:80/y").origin


@given(st.text(max_size=40))
@settings(deadline=None)
def test_no_url_that_is_permitted_breaks_out_of_the_request_line(text: str) -> None:
    url = f"http://example.com/{text}"
    try:
        Policy().check_url(url)
        path = target_of(url).path
    except (EgressRefused, UnicodeEncodeError):
        return
    assert path.isascii()
    assert path.isprintable()
    assert path.startswith("/")
    assert not {" ", "#"} & set(path)
    assert urlsplit(f"http://example.com{path}").netloc == "example.com"
