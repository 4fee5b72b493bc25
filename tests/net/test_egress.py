"""What outgoing traffic may reach. Every address here was seen in a bypass of somebody's guard."""

import ipaddress
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.core.errors import EgressRefused
from tieline.core.http import Request
from tieline.net.client import GuardedClient
from tieline.net.egress import Policy, parse_networks
from tieline.net.names import Names
from tieline.net.ranges import RULES

_HOSTILE_ADDRESSES = """
127.0.0.1 127.255.255.254 0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255
169.254.169.254 169.254.170.2 169.254.0.1 168.63.129.16 172.16.0.1 172.31.255.255 192.0.0.8 192.0.0.192 192.0.2.1
192.88.99.1 192.168.0.1 192.168.255.255 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.1.1.1
240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1 ::10.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.1.2.3
::ffff:169.254.169.254 ::ffff:0:127.0.0.1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::7f00:1 100::1 100:0:0:1::1
2001::1 2001:0:7f00:1::80ff:fffe 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:0a00:0001::1
2002:808:808::1 3fff::1 5f00::1 fc00::1 fd00:ec2::254 fd12:3456::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1 ff0e::1
4000::1 e000::1 fe80::5efe:10.0.0.1 2001:470:1f0b::5efe:10.0.0.1 2001:470:1f0b:0:200:5efe:a9fe:a9fe
169.254.42.42 169.254.0.23 169.254.170.23 fd20:ce::254 fd00:42::42
"""
HOSTILE_ADDRESSES = _HOSTILE_ADDRESSES.split()

_PUBLIC_ADDRESSES = """
8.8.8.8 1.1.1.1 104.192.141.1 2606:4700::1111 2a00:1450:4001::1 ::ffff:8.8.8.8
64:ff9b::808:808 2001:470:1f0b::5efe:8.8.8.8 192.31.196.1 2620:4f:8000::1 9.255.255.255 11.0.0.0 100.63.255.255
100.128.0.0 172.15.255.255 172.32.0.0 192.167.255.255 223.255.255.255
"""
PUBLIC_ADDRESSES = _PUBLIC_ADDRESSES.split()

_HOSTILE_URLS = """
http://127.0.0.1/ http://127.1/ http://127.0.1/ http://0x7f000001/ http://0x7f.0.0.1/ http://0x7f.1/ http://2130706433/
http://0177.0.0.1/ http://017700000001/ http://0177.1/ http://127.0.0.1./ http://127.1./ http://127.0.0.01/
http://0x7F.0x0.0x0.0x1/ http://127.0x0.0.1/ http://4294967295/ http://0/ http://0.0.0.0/ http://00/ http://0x0/
http://0x/
http://1/ http://10.1/ http://3232235777/ http://0xa9fea9fe/ http://2852039166/ http://0251.0376.0251.0376/
http://169.254.169.254/latest/meta-data/ http://169.254.169.254./ http://169.16689662/ http://134744072/
http://8.8.2056/
http://256.0.0.1/ http://1.2.3.4.5/ http://1.2.3.999/ http://4294967296/ http://09.0.0.1/ http://0x7g.1.2.0x/
http://localhost/ http://LOCALHOST/ http://localhost./ http://foo.localhost/ http://a.b.localhost.:80/
https://localhost:8443/
http://[::1]/ http://[::]/ http://[0:0:0:0:0:0:0:1]/ http://[::ffff:127.0.0.1]/ http://[::ffff:7f00:1]/
http://[::127.0.0.1]/
http://[0:0:0:0:0:ffff:127.0.0.1]/ http://[64:ff9b::7f00:1]/ http://[64:ff9b:1::7f00:1]/ http://[2002:7f00:1::]/
http://[2001:0:7f00:1::80ff:fffe]/ http://[fe80::1]/ http://[fe80::1%25eth0]/ http://[fe80::1%eth0]/ http://[::1%25lo]/
http://[fd00:ec2::254]/ http://[fc00::1]:8080/ http://[ff02::1]/ http://[fec0::1]/ http://[::ffff:0:7f00:1]/
http://[3fff::1]/
http://[::1/ http://::1/ http://[]/ http://[v1.fe80]/ http://[127.0.0.1]/ http://[::1]x/ http://[1::2::3]/
http://user@example.com/ http://user:password@example.com/ http://@example.com/ http://example.com@127.0.0.1/
http://127.0.0.1@example.com/ http://example.com:80@127.0.0.1/ http://:@example.com/ http://%40@example.com/
http://example.com\\@127.0.0.1/ http:\\\\127.0.0.1\\ http://exa\\mple.com/ http://%31%32%37.0.0.1/ http://127%2e0.0.1/
http://example.com%00.evil.test/ http://exam$ple.com/ http://a..b/ http://.example.com/ http://-x.example/
http://example.com,evil/
http://example.com:0/ http://example.com:65536/ http://example.com:-1/ http://example.com:abc/
http://example.com:99999999/
http://１２７.０.０.１/ http://127。0。0。1/ http://①②⑦.⓪.⓪.①/ http://bücher.example/ http://ⓛocalhost/ http://exam\u00adple.com/
ftp://example.com/ file:///etc/passwd gopher://127.0.0.1:6379/_x dict://example.com/
javascript:alert(1) data:text/plain,x
//example.com/ example.com http:/example.com http:example.com http:///path http://:80/ http://?x http://#x
unix:///run/x.sock
ws://example.com/ jar:http://example.com!/ http+unix://%2frun%2fx/ http://example.com:80:80/
http://168.63.129.16/ http://100.100.100.200/latest/ http://192.0.0.192/opc/ http://[fd20:ce::254]/ http://169.254.43518/
http://0xa9.0xfe.0xa9.0xfe/ http://[::ffff:a9fe:a9fe]/ http://[64:ff9b::a9fe:a9fe]/ http://[2001:470::5efe:10.0.0.1]/
http://١٢٧.٠.٠.١/ http://127．0．0．1/ http://localhost｡/ http://ｌｏｃａｌｈｏｓｔ/ http://a;@10.0.0.1/ http://127.0.0.1%2f@x/
http://[::ffff:127.0.0.1%251]/ http://0300.0250.1/ http://192.168.257/ http://[0::0:ffff:c0a8:1]/ http://%6c%6f%63alhost/
"""  # noqa: RUF001 -- look-alike digits are the point
HOSTILE_URLS = _HOSTILE_URLS.split()


@pytest.mark.parametrize("address", HOSTILE_ADDRESSES)
def test_refuses_addresses_that_are_not_public(address: str) -> None:
    with pytest.raises(EgressRefused, match="TIELINE_EGRESS_ALLOW"):
        Policy().check(address)


@pytest.mark.parametrize("address", PUBLIC_ADDRESSES)
def test_permits_public_addresses(address: str) -> None:
    Policy().check(address)


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_refuses_hostile_spellings(url: str) -> None:
    with pytest.raises(EgressRefused) as refusal:
        Policy().check_url(url.encode().decode("unicode_escape") if "\\u" in url else url)
    assert str(refusal.value).endswith((".", "s."))


def test_there_are_at_least_a_hundred_hostile_spellings() -> None:
    assert len(set(HOSTILE_URLS)) >= 100


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/ x",
        "http://exam\tple.com/",
        "http://example.com/\r\nX: y",
        " http://a.b/",
        "http://a.b/\x00",
    ],
)
def test_refuses_characters_that_split_requests(url: str) -> None:
    with pytest.raises(EgressRefused, match="control character"):
        Policy().check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "HTTPS://Example.COM:8443/a/b?c=d#e",
        "https://example.com./",
        "https://xn--bcher-kva.example/",
        "https://under_score.example.com/%20%2F?x=%0a",
        "https://8.8.8.8/",
        "https://[2606:4700::1111]:444/",
        "https://1password.com/",
        "https://example.com/@user",
        "https://0x.example/",
        "https://localhost.example.com/",
        "https://notlocalhost/",
        "https://127.0.0.1.example.com/",
        "https://10.example/",
        "https://metadata.example.com/computeMetadata/v1/",
        "https://hooks.slack.com/services/T0/B0/x?y=http://127.0.0.1/",
        "https://example.com/a;b=c/@10.0.0.1",
        "https://example.com#@127.0.0.1",
        "https://[2001:470:1f0b::5efe:808:808]/",
        "http://example.com:65535/",
        "http://example.com:1",
        "https://a.b-c.d_e.example/?q=%5C%00",
        "https://xn--e1afmkfd.xn--p1ai/",
    ],
)
def test_permits_ordinary_urls(url: str) -> None:
    Policy().check_url(url)


_HOSTILE_HOSTS = """
localhost LOCALHOST. x.localhost 127.0.0.1 127.1 0x7f.1 2130706433 0177.0.0.1 10.0.0.1. ::1 [::1] ::ffff:10.0.0.1
fe80::1%eth0 169.254.169.254 user@example.com example.com:25 example.com/x exam%2eple.com １２７.0.0.1 -x.example
http://example.com ::1::2 2001:470::5efe:10.0.0.1 a..b
"""  # noqa: RUF001 -- look-alike digits are the point


@pytest.mark.parametrize("host", _HOSTILE_HOSTS.split())
def test_hosts_are_held_to_what_urls_are_held_to(host: str) -> None:
    with pytest.raises(EgressRefused):
        Policy().check_host(host)


@pytest.mark.parametrize("host", ["smtp.example.com", "Logs.Example.COM.", "8.8.8.8", "2606:4700::1111", "logs"])
def test_permits_ordinary_hosts(host: str) -> None:
    Policy().check_host(host)


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:a01:203", "fe80::1"])
def test_the_refusal_has_the_address(address: str) -> None:
    with pytest.raises(EgressRefused) as refusal:
        Policy().check(address)
    assert refusal.value.address == address


def test_the_refusal_names_address_rule_and_setting() -> None:
    with pytest.raises(EgressRefused) as refusal:
        Policy().check("::ffff:100.64.0.9")
    said = str(refusal.value)
    assert "100.64.0.9" in said
    assert "::ffff:" in said
    assert "RFC 6598" in said
    assert "TIELINE_EGRESS_ALLOW" in said


def test_a_network_that_is_allowed_is_reached_in_every_honest_spelling() -> None:
    policy = Policy(parse_networks("127.0.0.0/8, 10.1.0.0/16,fd00::/8"))
    for address in ("127.0.0.1", "::ffff:127.0.0.1", "10.1.2.3", "64:ff9b::a01:203", "fd12::1"):
        policy.check(address)
    policy.check_url("http://localhost:3000/")
    for address in ("10.2.0.1", "169.254.169.254", "::1", "::127.0.0.1"):
        with pytest.raises(EgressRefused):
            policy.check(address)


def test_allowing_all_of_ipv6_does_not_open_ipv4_inside_it() -> None:
    policy = Policy(parse_networks("::/0"))
    policy.check("fe80::1")
    for address in ("::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"):
        with pytest.raises(EgressRefused):
            policy.check(address)


def test_a_name_is_refused_when_one_of_its_addresses_is() -> None:
    with pytest.raises(EgressRefused, match=r"10\.0\.0\.1"):
        Policy().check_all(["8.8.8.8", "10.0.0.1"])


def test_a_wrong_network_in_the_setting_is_named() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.1/8"):
        parse_networks("127.0.0.0/8,10.0.0.1/8")


@given(st.sampled_from([rule.network for rule in RULES]), st.data())
def test_every_address_of_every_range_is_refused(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network, data: st.DataObject
) -> None:
    offset = data.draw(st.integers(0, network.num_addresses - 1))
    with pytest.raises(EgressRefused):
        Policy().check(str(network[offset]))


@given(st.ip_addresses(v=4))
def test_wrapping_an_address_never_changes_the_answer(address: ipaddress.IPv4Address) -> None:
    mapped, translated = (
        f"::ffff:{address}",
        str(ipaddress.IPv6Address(int(ipaddress.IPv6Address("64:ff9b::")) + int(address))),
    )
    assert _permits(str(address)) == _permits(mapped) == _permits(translated)


@given(st.text(max_size=60))
def test_any_text_is_refused_or_permitted_but_never_crashes(text: str) -> None:
    for url in (text, "http://" + text, "http://[" + text):
        with suppress(EgressRefused):
            Policy().check_url(url)


# Where names lead that look like any other: nothing is to be seen in them until they are resolved.
HOSTILE_NAMES = {
    "metadata.google.internal": "169.254.169.254",
    "metadata": "169.254.169.254",
    "instance-data.ec2.internal": "169.254.169.254",
    "metadata.tencentyun.com": "169.254.0.23",
    "metadata.platformequinix.com": "192.0.0.192",
    "kubernetes.default.svc": "10.96.0.1",
    "host.docker.internal": "192.168.65.2",
    "127.0.0.1.nip.io": "127.0.0.1",
    "0x7f000001.nip.io": "127.0.0.1",
    "169-254-169-254.sslip.io": "169.254.169.254",
    "www.10.0.0.1.sslip.io.": "10.0.0.1",
    "localtest.me": "::1",
    "ip6-localhost": "::1",
    "localhost.localdomain": "127.0.0.1",
    "mapped.example": "::ffff:a00:1",
    "translated.example": "64:ff9b::a9fe:a9fe",
    "tunnel.example": "2002:a00:1::1",
    "link.example": "fe80::1",
    "router.example": "100.64.0.1",
    "everyone.example": "0.0.0.0",  # noqa: S104 -- nobody listens
}


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_refuses_names_that_lead_inside_when_they_are_dialled(name: str) -> None:
    policy = Policy()
    policy.check_url(f"https://{name}/")
    # One of two answers is enough: which one is dialled is left to luck.
    client = GuardedClient(policy, "tieline-test/1", Names(lambda _: ["8.8.8.8", HOSTILE_NAMES[name]]))
    try:
        with pytest.raises(EgressRefused) as refusal:
            await client.send(Request("POST", f"https://{name}/", seconds=2))
    finally:
        await client.close()
    assert refusal.value.address == HOSTILE_NAMES[name]


async def test_hostile_spellings_are_not_even_looked_up() -> None:
    looked_up: list[str] = []

    def lookup(host: str) -> list[str]:
        looked_up.append(host)
        return ["8.8.8.8"]

    client = GuardedClient(Policy(), "tieline-test/1", Names(lookup))
    for url in HOSTILE_URLS:
        with pytest.raises(EgressRefused):
            await client.send(Request("GET", url.encode().decode("unicode_escape") if "\\u" in url else url))
    await client.close()
    assert looked_up == []


def _permits(address: str) -> bool:
    try:
        Policy().check(address)
    except EgressRefused:
        return False
    return True
