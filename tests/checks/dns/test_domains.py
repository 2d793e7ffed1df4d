"""What `check --dns` says of a sender's domains, against records on a server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from campaign.checks.dns.domains import Finding, Published, Sender, look
from campaign.checks.dns.lookup import Lookup
from campaign.errors import Severity, UserError
from campaign.message.dkim import Signer, load_signer
from tests.checks.dns.server import serve, txt

Zone = dict[tuple[str, str], "list[str] | None"]


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return made(tmp_path_factory.mktemp("key"), Ed25519PrivateKey.generate())


def made(folder: Path, key: object) -> Signer:
    file = folder / "dkim.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))  # type: ignore[attr-defined]
    return load_signer("example.com", "s1", file, None)


def sender(signer: Signer | None, **other: str) -> Sender:
    values = {
        "from_domain": "example.com",
        "envelope": "bounces@example.com",
        "envelope_path": "envelope_from",
        "host": "mail.example.com",
        "one_click": "www.example.com",
    }
    return Sender(signer=signer, **(values | other))


def sound(signer: Signer) -> Zone:
    """A zone in which nothing is wrong."""
    return {
        ("example.com", "MX"): ["10 mail.example.com."],
        ("example.com", "TXT"): [txt("v=spf1 a:mail.example.com -all"), txt("some-verification=1")],
        ("mail.example.com", "A"): ["8.8.4.4"],
        ("www.example.com", "A"): ["8.8.4.5"],
        ("s1._domainkey.example.com", "TXT"): [txt(signer.record)],
        ("_dmarc.example.com", "TXT"): [txt("v=DMARC1; p=reject; rua=mailto:dmarc@example.com")],
        ("_mta-sts.example.com", "TXT"): [txt("v=STSv1; id=1")],
        ("_smtp._tls.example.com", "TXT"): [txt("v=TLSRPTv1; rua=mailto:tls@example.com")],
    }


def looked(zone: Mapping[tuple[str, str], list[str] | None], whose: Sender) -> Published:
    with serve(zone) as address:
        return look(whose, Lookup(address))


def test_a_sound_sender_has_no_findings(signer: Signer) -> None:
    published = looked(sound(signer), sender(signer))
    assert published.findings == ()
    assert ("SPF for mail.example.com (8.8.4.4)", "pass") in published.records
    assert [what for what, _ in published.records] == [
        "MX of example.com",
        "SPF of example.com",
        "SPF for mail.example.com (8.8.4.4)",
        "DKIM key s1._domainkey.example.com",
        "DMARC of example.com",
    ]


def test_an_rsa_key_is_published_as_its_der(tmp_path: Path) -> None:
    rsa = made(tmp_path, generate_private_key(65537, 2048))
    assert rsa.record.startswith("v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A")
    assert looked(sound(rsa), sender(rsa)).findings == ()


CASES: dict[str, tuple[dict[tuple[str, str], list[str] | None], Severity, str, str]] = {
    "null MX": ({("example.com", "MX"): ["0 ."]}, Severity.WARNING, "from", "accepts no mail (a null MX)"),
    "no MX": (
        {("example.com", "MX"): []},
        Severity.WARNING,
        "from",
        "`example.com. MX 10 mail.example.com.`",
    ),
    "no MX, an address": (
        {("example.com", "MX"): [], ("example.com", "A"): ["8.8.4.4"]},
        Severity.NOTE,
        "from",
        "its address is used instead",
    ),
    "MX unknown": ({("example.com", "MX"): None}, Severity.NOTE, "from", "unknown: example.com (MX)"),
    "no SPF": (
        {("example.com", "TXT"): []},
        Severity.WARNING,
        "envelope_from",
        "publish a TXT record there: `v=spf1 a:mail.example.com ~all`",
    ),
    "two SPF records": (
        {("example.com", "TXT"): [txt("v=spf1 -all"), txt("v=spf1 ~all")]},
        Severity.ERROR,
        "envelope_from",
        "example.com has 2 SPF records",
    ),
    "SPF with a typo": (
        {("example.com", "TXT"): [txt("v=spf1 ipv4:8.8.4.4 -all")]},
        Severity.ERROR,
        "envelope_from",
        "broken: SPF has no mechanism like `ipv4:8.8.4.4`",
    ),
    "SPF does not cover": (
        {("example.com", "TXT"): [txt("v=spf1 ip4:8.8.8.8 ~all")]},
        Severity.WARNING,
        "envelope_from",
        "does not cover mail.example.com (8.8.4.4: softfail)",
    ),
    "SPF forbids all": (
        {("example.com", "TXT"): [txt("v=spf1 -all")]},
        Severity.ERROR,
        "envelope_from",
        "nobody sends mail for it",
    ),
    "SPF allows all": (
        {("example.com", "TXT"): [txt("v=spf1 +all")]},
        Severity.WARNING,
        "envelope_from",
        "lets anybody send (`+all`)",
    ),
    "SPF with ptr": (
        {("example.com", "TXT"): [txt("v=spf1 a:mail.example.com ptr -all")]},
        Severity.NOTE,
        "envelope_from",
        "has `ptr`, which receivers may ignore",
    ),
    "SPF without all": (
        {("example.com", "TXT"): [txt("v=spf1 a:mail.example.com")]},
        Severity.NOTE,
        "envelope_from",
        "it refuses nobody",
    ),
    "SPF needs too much": (
        {
            ("example.com", "TXT"): [
                txt("v=spf1 " + " ".join(f"a:h{n}.example.com" for n in range(11)) + " -all")
            ]
        },
        Severity.ERROR,
        "envelope_from",
        "needs 11 DNS lookups; receivers give up after 10",
    ),
    "SPF unknown": (
        {("example.com", "TXT"): None},
        Severity.NOTE,
        "envelope_from",
        "unknown: example.com (TXT)",
    ),
    "a private server": (
        {("mail.example.com", "A"): ["10.0.0.1"]},
        Severity.NOTE,
        "envelope_from",
        "has no public address",
    ),
    "no DKIM key": (
        {("s1._domainkey.example.com", "TXT"): []},
        Severity.ERROR,
        "dkim.selector",
        "publish a TXT record at s1._domainkey.example.com: `v=DKIM1; k=ed25519; p=",
    ),
    "another DKIM key": (
        {("s1._domainkey.example.com", "TXT"): [txt("v=DKIM1; k=ed25519; p=AAAA")]},
        Severity.ERROR,
        "dkim.selector",
        "does not match dkim.key_file",
    ),
    "a revoked DKIM key": (
        {("s1._domainkey.example.com", "TXT"): [txt("v=DKIM1; p=")]},
        Severity.ERROR,
        "dkim.selector",
        "is revoked",
    ),
    "no DMARC": (
        {("_dmarc.example.com", "TXT"): []},
        Severity.WARNING,
        "from",
        "at _dmarc.example.com: `v=DMARC1; p=none; rua=mailto:dmarc@example.com`",
    ),
    "two DMARC records": (
        {("_dmarc.example.com", "TXT"): [txt("v=DMARC1; p=none"), txt("v=DMARC1; p=reject")]},
        Severity.ERROR,
        "from",
        "has 2 DMARC records",
    ),
    "DMARC without a policy": (
        {("_dmarc.example.com", "TXT"): [txt("v=DMARC1; rua=mailto:a@example.com")]},
        Severity.WARNING,
        "from",
        "has no policy",
    ),
    "DMARC unknown": (
        {("_dmarc.example.com", "TXT"): None},
        Severity.NOTE,
        "from",
        "unknown: _dmarc.example.com",
    ),
    "no MTA-STS": ({("_mta-sts.example.com", "TXT"): []}, Severity.NOTE, "from", "has no MTA-STS"),
    "no TLS reports": ({("_smtp._tls.example.com", "TXT"): []}, Severity.NOTE, "from", "has no TLS reports"),
    "no host to unsubscribe at": (
        {("www.example.com", "A"): []},
        Severity.ERROR,
        "unsubscribe.url",
        "www.example.com has no address in the DNS",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_said_with_what_to_publish(case: str, signer: Signer) -> None:
    other, severity, path, said = CASES[case]
    findings = looked(sound(signer) | other, sender(signer)).findings
    assert any(one.severity is severity and one.path == path and said in one.message for one in findings), (
        findings
    )
    assert {one.path for one in findings} == {path}, findings


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("k=ed25519; ", "", "lacks `k=ed25519`, so no signature verifies; publish a TXT record at"),
        ("k=ed25519", "k=rsa", "says `k=rsa`, so no signature verifies"),
        ("v=DKIM1", "v=dkim1", "begins with `v=dkim1`, so verifiers ignore it"),
        ("p=", "s=tlsrpt; p=", "is not for mail (`s=tlsrpt`); remove `s=`"),
        ("p=", "h=sha1; p=", "allows no sha256 signatures (`h=sha1`)"),
    ],
)
def test_our_own_key_that_is_published_wrongly(old: str, new: str, what: str, signer: Signer) -> None:
    """RFC 6376 3.6.1: k= is rsa unless it says otherwise, and v= is compared as a string."""
    record = signer.record.replace(old, new, 1)
    findings = looked(
        sound(signer) | {("s1._domainkey.example.com", "TXT"): [txt(record)]}, sender(signer)
    ).findings
    assert [(one.severity, one.path) for one in findings] == [(Severity.ERROR, "dkim.selector")]
    assert what in findings[0].message


@pytest.mark.parametrize("also", ["s=email; ", "s=*; ", "s=tlsrpt : email; ", "h=sha1 : sha256; "])
def test_our_own_key_that_is_published_with_more(also: str, signer: Signer) -> None:
    record = signer.record.replace("p=", f"{also}p=", 1)
    other = {("s1._domainkey.example.com", "TXT"): [txt(record)]}
    assert looked(sound(signer) | other, sender(signer)).findings == ()


def test_a_domain_that_does_not_exist_is_an_error(signer: Signer) -> None:
    findings = looked({}, sender(signer)).findings
    assert (
        Finding(
            Severity.ERROR,
            "from",
            "example.com does not exist in the DNS: servers refuse mail from it, and no reply arrives",
        )
        in findings
    )


def test_a_dead_server_is_unknown_and_never_an_error(signer: Signer) -> None:
    with serve({}) as address:
        pass  # nobody listens there any more
    published = look(sender(None, one_click=""), _hasty(address))
    assert {one.severity for one in published.findings} == {Severity.NOTE}
    assert any(one.message.startswith("unknown: ") for one in published.findings)


def _hasty(address: str) -> Lookup:
    lookup = Lookup(address)
    lookup._resolver.lifetime = 0.2
    return lookup


@pytest.mark.parametrize(
    ("policy", "domain", "signs", "said"),
    [
        ("v=DMARC1; p=none", "news.example.com", False, None),
        ("v=DMARC1; p=none; aspf=s", "news.example.com", False, "mail is trusted less"),
        ("v=DMARC1; p=reject; aspf=s", "news.example.com", True, None),
        ("v=DMARC1; p=reject", "example.net", False, "DMARC fails and mail is refused"),
        ("v=DMARC1; p=quarantine", "example.net", False, "goes to the spam folder"),
        ("v=DMARC1; p=reject", "example.net", True, None),
    ],
)
def test_the_envelope_aligns_or_not(
    policy: str, domain: str, signs: bool, said: str | None, signer: Signer
) -> None:
    zone = sound(signer) | {
        ("_dmarc.example.com", "TXT"): [txt(policy)],
        (domain, "TXT"): [txt("v=spf1 a:mail.example.com -all")],
    }
    published = looked(zone, sender(signer if signs else None, envelope=f"b@{domain}"))
    aligned = [one.message for one in published.findings if "align" in one.message]
    assert bool(aligned) == (said is not None), published.findings
    assert said is None or said in aligned[0]


def test_the_signature_aligns_within_the_organisation(signer: Signer) -> None:
    zone = sound(signer) | {
        ("shop.example.com", "MX"): ["10 mail.example.com."],
        ("_dmarc.shop.example.com", "TXT"): [],
    }
    found = looked(zone, sender(signer, from_domain="shop.example.com")).findings
    assert not any("align" in one.message for one in found)


def test_a_signature_of_another_domain_is_said(signer: Signer) -> None:
    zone = sound(signer) | {
        ("example.org", "MX"): ["10 mail.example.com."],
        ("_dmarc.example.org", "TXT"): [txt("v=DMARC1; p=reject")],
    }
    found = looked(zone, sender(signer, from_domain="example.org")).findings
    said = [one.message for one in found if one.path == "dkim.domain"]
    assert said == [
        "the signature's domain example.com does not align with From's example.org: DMARC fails and mail is"
        " refused, unless the server signs for example.org"
    ]


def test_a_public_suffix_ends_the_organisation(signer: Signer) -> None:
    zone = sound(signer) | {
        ("_dmarc.example.com", "TXT"): [txt("v=DMARC1; p=reject; psd=y")],
        ("a.example.com", "MX"): ["10 mail.example.com."],
        ("_dmarc.a.example.com", "TXT"): [txt("v=DMARC1; p=reject")],
    }
    found = looked(zone, sender(None, from_domain="a.example.com", envelope="x@b.example.com")).findings
    assert any("b.example.com does not align with From's a.example.com" in one.message for one in found)


def test_each_name_is_asked_for_once(signer: Signer) -> None:
    asked: list[tuple[str, str]] = []
    with serve(sound(signer), asked) as address:
        look(sender(signer), Lookup(address))
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize("text", ["dns.example.com", "127.0.0.1:x", "127.0.0.1:70000", "", "[::1"])
def test_a_nameserver_is_an_address(text: str) -> None:
    if text == "[::1":
        assert Lookup(text)._resolver.nameservers == ["::1"]
        return
    with pytest.raises(UserError, match="is no IP address of a DNS server"):
        Lookup(text)
