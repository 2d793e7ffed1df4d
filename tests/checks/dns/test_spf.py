"""SPF: the grammar, the limits and check_host, against records on a server (RFC 7208)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.checks.dns import spf
from campaign.checks.dns.lookup import Lookup, Unknown
from campaign.checks.dns.macros import Connection, expand
from campaign.checks.dns.spf import Evaluation, Result, SpfError
from tests.checks.dns.server import Zone, serve, txt

ONE = Connection("ann@example.com", "192.0.2.3", "mx.example.org")


def judged(zone: Zone, connection: Connection = ONE, domain: str = "example.com") -> Result:
    with serve(zone) as address:
        return Evaluation(connection, Lookup(address)).check(domain)


def record(text: str, **more: list[str]) -> dict[tuple[str, str], list[str] | None]:
    return {("example.com", "TXT"): [txt("something else"), txt(text)]}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("v=spf1 ip4:192.0.2.0/24 -all", Result.PASS),
        ("v=spf1 ip4:192.0.2.128/25 -all", Result.FAIL),
        ("v=spf1 ip6:2001:db8::/32 ~all", Result.SOFTFAIL),
        ("v=spf1 ?all", Result.NEUTRAL),
        ("v=spf1", Result.NEUTRAL),
        ("V=SPF1 IP4:192.0.2.3", Result.PASS),
        ("v=spf1 a:host.example.com -all", Result.PASS),
        ("v=spf1 a:host.example.com/32 -all", Result.PASS),
        ("v=spf1 a:other.example.com -all", Result.FAIL),
        ("v=spf1 a:other.example.com/24 -all", Result.PASS),
        ("v=spf1 mx -all", Result.PASS),
        ("v=spf1 -a:host.example.com +all", Result.FAIL),
        ("v=spf1 include:good.example.com -all", Result.PASS),
        ("v=spf1 include:bad.example.com ?all", Result.NEUTRAL),
        ("v=spf1 redirect=good.example.com", Result.PASS),
        ("v=spf1 redirect=bad.example.com", Result.FAIL),
        ("v=spf1 -all redirect=good.example.com", Result.FAIL),
        ("v=spf1 exists:%{ir}.%{v}.list.example.com -all", Result.PASS),
        ("v=spf1 exists:%{l}.list.example.com -all", Result.PASS),
        ("v=spf1 ptr -all", Result.FAIL),
        ("v=spf1 a:none.example.com exp=why.example.com unknown=x ~all", Result.SOFTFAIL),
    ],
)
def test_an_address_is_judged(text: str, result: Result) -> None:
    zone = record(text) | {
        ("host.example.com", "A"): ["192.0.2.3"],
        ("other.example.com", "A"): ["192.0.2.9"],
        ("example.com", "MX"): ["10 host.example.com."],
        ("good.example.com", "TXT"): [txt("v=spf1 ip4:192.0.2.3 -all")],
        ("bad.example.com", "TXT"): [txt("v=spf1 -all")],
        ("3.2.0.192.in-addr.list.example.com", "A"): ["127.0.0.2"],
        ("ann.list.example.com", "A"): ["127.0.0.2"],
    }
    assert judged(zone) is result


def test_an_ipv6_address_is_judged() -> None:
    connection = Connection("ann@example.com", "2001:db8::5", "mx.example.org")
    zone = record("v=spf1 a:host.example.com//64 -all") | {("host.example.com", "AAAA"): ["2001:db8::9"]}
    assert judged(zone, connection) is Result.PASS


def test_a_domain_without_a_record_is_none() -> None:
    assert judged({("example.com", "TXT"): [txt("v=spf10 -all"), txt("hello")]}) is Result.NONE


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("v=spf1 ip4:192.0.2.300", "names no network"),
        ("v=spf1 ip4:2001:db8::1", "names no IPv4 network"),
        ("v=spf1 ip6:192.0.2.1", "names no IPv6 network"),
        ("v=spf1 include:", "SPF|no mechanism|names no domain"),
        ("v=spf1 include", "names no domain"),
        ("v=spf1 a/33", "too long a prefix"),
        ("v=spf1 a//129", "too long a prefix"),
        ("v=spf1 all:x", "no mechanism"),
        ("v=spf1 ipv4:192.0.2.1", "no mechanism like `ipv4:192.0.2.1`"),
        ("v=spf1 mx; -all", "no mechanism"),
        ("v=spf1 redirect=a.example redirect=b.example", "twice"),
    ],
)
def test_what_the_grammar_does_not_have_is_said(text: str, why: str) -> None:
    with pytest.raises(SpfError, match=why):
        spf.parse(text)


def test_two_records_are_broken() -> None:
    zone: Zone = {("example.com", "TXT"): [txt("v=spf1 -all"), txt("v=spf1 ~all")]}
    with pytest.raises(SpfError, match=r"example\.com has 2 SPF records"):
        judged(zone)


def test_an_include_without_a_record_is_broken() -> None:
    with pytest.raises(SpfError, match=r"include:none\.example\.com"):
        judged(record("v=spf1 include:none.example.com -all"))


def test_lookups_are_counted_over_includes() -> None:
    zone: Zone = {
        ("example.com", "TXT"): [txt("v=spf1 include:one.example.com a mx exists:%{i}.example.com -all")],
        ("one.example.com", "TXT"): [
            txt("v=spf1 include:two.example.com ip4:192.0.2.1 redirect=two.example.com")
        ],
        ("two.example.com", "TXT"): [txt("v=spf1 ip4:192.0.2.2 ptr a:x.example.com -all")],
    }
    with serve(zone) as address:
        counted = spf.lookups("example.com", Lookup(address))
    assert counted == [("include:one.example.com", 7), ("a", 1), ("mx", 1), ("exists:%{i}.example.com", 1)]


def test_more_than_ten_lookups_are_broken() -> None:
    hosts = [f"h{number}.example.com" for number in range(11)]
    zone = record("v=spf1 " + " ".join(f"a:{host}" for host in hosts) + " -all")
    zone |= {(host, "A"): ["192.0.2.77"] for host in hosts}
    with pytest.raises(SpfError, match="more than 10 DNS lookups"):
        judged(zone)


def test_more_than_two_lookups_that_find_nothing_are_broken() -> None:
    text = "v=spf1 " + " ".join(f"a:none{number}.example.com" for number in range(3)) + " -all"
    with pytest.raises(SpfError, match="more than 2 of the record's DNS lookups find nothing"):
        judged(record(text))


@pytest.mark.parametrize("way", [spf.lookups, lambda domain, lookup: Evaluation(ONE, lookup).check(domain)])
def test_a_circle_ends(way: object) -> None:
    zone: Zone = {
        ("example.com", "TXT"): [txt("v=spf1 include:other.example.com -all")],
        ("other.example.com", "TXT"): [txt("v=spf1 include:example.com -all")],
    }
    with serve(zone) as address, pytest.raises(SpfError, match=r"circle|more than 10"):
        way("example.com", Lookup(address))  # type: ignore[operator]


def test_a_server_that_fails_is_unknown() -> None:
    zone: Zone = {("example.com", "TXT"): None}
    with pytest.raises(Unknown, match=r"example.com \(TXT\) could not be looked up: the DNS server failed"):
        judged(zone)


# The examples of RFC 7208 7.4.
SENDER = Connection("strong-bad@email.example.com", "192.0.2.3", "mx.example.org")


@pytest.mark.parametrize(
    ("macro", "expanded"),
    [
        ("%{s}", "strong-bad@email.example.com"),
        ("%{o}", "email.example.com"),
        ("%{d}", "email.example.com"),
        ("%{d4}", "email.example.com"),
        ("%{d3}", "email.example.com"),
        ("%{d2}", "example.com"),
        ("%{d1}", "com"),
        ("%{dr}", "com.example.email"),
        ("%{d2r}", "example.email"),
        ("%{l}", "strong-bad"),
        ("%{l-}", "strong.bad"),
        ("%{lr}", "strong-bad"),
        ("%{lr-}", "bad.strong"),
        ("%{l1r-}", "strong"),
        ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
        ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
        ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
        ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
        ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
    ],
)
def test_macros_are_those_of_the_standard(macro: str, expanded: str) -> None:
    assert expand(macro, SENDER, "email.example.com") == expanded


def test_an_ipv6_address_is_written_in_nibbles() -> None:
    connection = Connection("a@example.com", "2001:db8::cb01", "mx.example.org")
    nibbles = "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
    assert expand("%{ir}.%{v}._spf.%{d2}", connection, "example.com") == f"{nibbles}.ip6._spf.example.com"


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_no_record_brings_anything_but_a_sentence(text: str) -> None:
    try:
        parsed = spf.parse(f"v=spf1 {text}")
    except SpfError:
        return
    assert parsed.asks <= len(text.split(" ")) + 1
    name = expand(text, ONE, "example.com")
    assert len(name) <= 253 or "." not in name
