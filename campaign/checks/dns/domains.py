"""Check the DNS records of a sender's domains: what is wrong, and what to publish.

    look(sender, lookup) -> Published

Receivers' requirements for bulk senders: https://support.google.com/a/answer/81126 (SPF, DKIM and DMARC,
each aligned with From), https://senders.yahooinc.com/best-practices/ (the same). A lookup without an answer
is a note that says "unknown", never an error.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from campaign.checks.dns import dmarc, spf
from campaign.checks.dns.lookup import Lookup, Unknown
from campaign.checks.dns.macros import Connection
from campaign.checks.dns.tags import parse_tags
from campaign.errors import Severity
from campaign.message.dkim import Signer


@dataclass(frozen=True, slots=True)
class Sender:
    """The sender of a campaign: its domains, as in the first message, and the server that submits it.

    `envelope` is the address in MAIL, "" for the null reverse-path; `one_click` is the host of the
    unsubscribe link, or "". `envelope_path` is the key of the campaign file that `envelope` comes from.
    """

    from_domain: str
    envelope: str
    envelope_path: str
    host: str
    signer: Signer | None
    one_click: str = ""

    @property
    def envelope_domain(self) -> str:
        """The domain whose SPF record receivers look up."""
        return self.envelope.rpartition("@")[2] or self.from_domain


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to report; `path` is the key of the campaign file that it concerns."""

    severity: Severity
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Published:
    """The findings, and the records that were found as (name, text)."""

    findings: tuple[Finding, ...]
    records: tuple[tuple[str, str], ...]


def look(sender: Sender, lookup: Lookup) -> Published:
    """Look up everything that receivers look up about this sender."""
    inspection = _Inspection(sender, lookup)
    # Every check that needs an unanswered lookup fails, but that is reported once.
    findings = dict.fromkeys(
        finding
        for path, part in (
            ("from", inspection.mail_exchangers),
            (sender.envelope_path, inspection.spf_record),
            ("dkim.selector", inspection.dkim_key),
            ("from", inspection.dmarc_policy),
            ("from", inspection.alignment),
            ("from", inspection.transport),
            ("unsubscribe.url", inspection.one_click),
        )
        for finding in _known(path, part)
    )
    return Published(tuple(findings), tuple(inspection.records))


def _known(path: str, part: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from part()
    except Unknown as error:
        yield Finding(Severity.NOTE, path, f"unknown: {error}")


class _Inspection:
    def __init__(self, sender: Sender, lookup: Lookup) -> None:
        self._sender = sender
        self._lookup = lookup
        self.records: list[tuple[str, str]] = []

    def mail_exchangers(self) -> Iterator[Finding]:
        """Check that replies and bounces can reach the From domain (RFC 5321 5.1, RFC 7505)."""
        domain = self._sender.from_domain
        exchangers = self._lookup.mx(domain)
        if exchangers.values == (".",):
            what = f"{domain} says that it accepts no mail (a null MX); many servers refuse mail from it"
            yield Finding(Severity.WARNING, "from", what)
        elif exchangers.values:
            self.records.append((f"MX of {domain}", ", ".join(exchangers.values)))
        elif not exchangers.exists:
            what = f"{domain} does not exist in the DNS: servers refuse mail from it, and no reply arrives"
            yield Finding(Severity.ERROR, "from", what)
        elif self._lookup.addresses(domain).values:
            yield Finding(Severity.NOTE, "from", f"{domain} has no MX record; its address is used instead")
        else:
            what = f"{domain} has no MX record, so no reply arrives; publish `{domain}. MX 10 mail.{domain}.`"
            yield Finding(Severity.WARNING, "from", what)

    def spf_record(self) -> Iterator[Finding]:
        """Check that the envelope's domain has a valid SPF record, and that it covers our server."""
        sender, path = self._sender, self._sender.envelope_path
        domain = sender.envelope_domain
        try:
            record = spf.find(domain, self._lookup)
            if record is None:
                what = (
                    f"{domain} has no SPF record; publish a TXT record there: `v=spf1 a:{sender.host} ~all`,"
                    f" or what the provider of {sender.host} says to include"
                )
                yield Finding(Severity.WARNING, path, what)
                return
            self.records.append((f"SPF of {domain}", record.text))
            asking = spf.lookups(domain, self._lookup)
            needed = sum(count for _, count in asking)
            if needed > spf.LIMIT:
                costly = ", ".join(f"{text} ({count})" for text, count in sorted(asking, key=_costliest)[:3])
                what = (
                    f"the SPF record of {domain} needs {needed} DNS lookups; receivers give up after"
                    f" {spf.LIMIT}, and treat it as broken; most of them are for {costly}"
                )
                yield Finding(Severity.ERROR, path, what)
            else:
                yield from self._covered(domain, record)
            yield from _odd_terms(domain, record, path)
        except spf.SpfError as error:
            yield Finding(Severity.ERROR, path, f"the SPF record of {domain} is broken: {error}")

    def _covered(self, domain: str, record: spf.Record) -> Iterator[Finding]:
        sender, path = self._sender, self._sender.envelope_path
        if [term.text for term in record.terms] == ["-all"] and not record.redirect:
            what = f"the SPF record of {domain} says that nobody sends mail for it (`-all` alone)"
            yield Finding(Severity.ERROR, path, what)
            return
        for ip in self._addresses_of(sender.host):
            if not ipaddress.ip_address(ip).is_global:
                what = f"{sender.host} has no public address, so SPF cannot be checked from here"
                yield Finding(Severity.NOTE, path, what)
                return
            connection = Connection(sender.envelope or f"postmaster@{sender.host}", ip, sender.host)
            result = spf.Evaluation(connection, self._lookup).check(domain)
            self.records.append((f"SPF for {sender.host} ({ip})", result))
            if result is not spf.Result.PASS:
                what = (
                    f"the SPF record of {domain} does not cover {sender.host} ({ip}: {result}); if that"
                    f" server delivers your mail itself, add `a:{sender.host}`; otherwise, what its provider"
                    " says to include"
                )
                yield Finding(Severity.WARNING, path, what)
                return

    def _addresses_of(self, host: str) -> tuple[str, ...]:
        try:
            return (str(ipaddress.ip_address(host.strip("[]"))),)
        except ValueError:
            return self._lookup.addresses(host).values

    def dkim_key(self) -> Iterator[Finding]:
        """Check that the published key is ours (RFC 6376 3.6.1)."""
        signer = self._sender.signer
        if signer is None:
            what = (
                "this campaign signs nothing, and large providers refuse bulk mail without DKIM; write"
                f" `dkim:`, or make sure that {self._sender.host} signs for {self._sender.from_domain}"
            )
            yield Finding(Severity.NOTE, "dkim.selector", what)
            return
        name, publish = signer.record_name, f"publish a TXT record at {signer.record_name}: `{signer.record}`"
        found = [text for text in self._lookup.txt(name).values if "p" in parse_tags(text)]
        if len(found) != 1:
            what = f"there is no DKIM key at {name}" if not found else f"{name} has {len(found)} DKIM keys"
            yield Finding(Severity.ERROR, "dkim.selector", f"{what}, so no signature verifies; {publish}")
            return
        tags = parse_tags(found[0])
        self.records.append((f"DKIM key {name}", found[0]))
        key = "".join(tags["p"].split())
        if not key:
            yield Finding(
                Severity.ERROR, "dkim.selector", f"the DKIM key at {name} is revoked (`p=` is empty)"
            )
        elif key != signer.public_key:
            what = f"the DKIM key at {name} does not match dkim.key_file, so no signature verifies; {publish}"
            yield Finding(Severity.ERROR, "dkim.selector", what)
        elif tags.get("v", "DKIM1") != "DKIM1":
            what = f"the DKIM key at {name} begins with `v={tags['v']}`, so verifiers ignore it; {publish}"
            yield Finding(Severity.ERROR, "dkim.selector", what)
        elif tags.get("k", "rsa") != signer.kind:  # without it, the key is taken for RSA
            written = f"says `k={tags['k']}`" if "k" in tags else f"lacks `k={signer.kind}`"
            what = f"the DKIM key at {name} {written}, so no signature verifies; {publish}"
            yield Finding(Severity.ERROR, "dkim.selector", what)
        elif not {"*", "email"} & {*tags.get("s", "*").replace(" ", "").split(":")}:
            what = f"the DKIM key at {name} is not for mail (`s={tags['s']}`); remove `s=`"
            yield Finding(Severity.ERROR, "dkim.selector", what)
        elif "h" in tags and "sha256" not in tags["h"].replace(" ", "").split(":"):
            what = f"the DKIM key at {name} allows no sha256 signatures (`h={tags['h']}`); remove `h=`"
            yield Finding(Severity.ERROR, "dkim.selector", what)
        elif "y" in tags.get("t", "").split(":"):
            what = f"the DKIM key at {name} is marked as a test (`t=y`): receivers may ignore it"
            yield Finding(Severity.NOTE, "dkim.selector", what)

    def dmarc_policy(self) -> Iterator[Finding]:
        """Check that the From domain has a DMARC record."""
        domain = self._sender.from_domain
        count = dmarc.duplicates(domain, self._lookup)
        if count > 1:
            what = f"_dmarc.{domain} has {count} DMARC records, and receivers then use none; keep one"
            yield Finding(Severity.ERROR, "from", what)
            return
        policy = dmarc.find(domain, self._lookup)
        if policy is None:
            what = (
                f"{domain} has no DMARC record, which large providers require of bulk senders; publish a TXT"
                f" record at _dmarc.{domain}: `v=DMARC1; p=none; rua=mailto:dmarc@{domain}`"
            )
            yield Finding(Severity.WARNING, "from", what)
            return
        self.records.append((f"DMARC of {policy.domain}", policy.text))
        asked = policy.tags.get("p", "").lower()
        if asked not in dmarc.POLICIES:
            what = f"the DMARC record of {policy.domain} has no policy (`p=none`, `quarantine` or `reject`)"
            yield Finding(Severity.WARNING, "from", what)

    def alignment(self) -> Iterator[Finding]:
        """Check that the domain of SPF or DKIM aligns with that of From (RFC 9989 4.4)."""
        sender, domain = self._sender, self._sender.from_domain
        policy = dmarc.find(domain, self._lookup)
        if policy is None:
            return
        envelope = self._aligned(sender.envelope_domain, strict=policy.strict("aspf"))
        signer = sender.signer
        signed = signer is not None and self._aligned(signer.domain, strict=policy.strict("adkim"))
        fate = {"none": "is trusted less", "quarantine": "goes to the spam folder", "reject": "is refused"}
        fails = f"DMARC fails and mail {fate[policy.wanted(domain)]}, unless the server signs for {domain}"
        if signer is not None and not signed:
            what = f"the signature's domain {signer.domain} does not align with From's {domain}"
            yield Finding(Severity.WARNING, "dkim.domain", what if envelope else f"{what}: {fails}")
        if not envelope and not signed:
            what = f"the envelope's domain {sender.envelope_domain} does not align with From's {domain}"
            yield Finding(Severity.WARNING, sender.envelope_path, f"{what}: {fails}")

    def _aligned(self, domain: str, *, strict: bool) -> bool:
        wanted = self._sender.from_domain
        if domain == wanted:
            return True
        if strict:
            return False
        return dmarc.organisation(domain, self._lookup) == dmarc.organisation(wanted, self._lookup)

    def transport(self) -> Iterator[Finding]:
        """Check MTA-STS (RFC 8461) and TLS reports (RFC 8460), which protect mail *to* the From domain."""
        domain = self._sender.from_domain
        if not self._lookup.mx(domain).values:
            return
        for name, version, what in (
            (f"_mta-sts.{domain}", "v=STSv1", "MTA-STS, which keeps replies to you encrypted in transit"),
            (f"_smtp._tls.{domain}", "v=TLSRPTv1", "TLS reports, which tell you of failed encryption"),
        ):
            if not any(text.startswith(version) for text in self._lookup.txt(name).values):
                yield Finding(Severity.NOTE, "from", f"{domain} has no {what} ({name})")

    def one_click(self) -> Iterator[Finding]:
        """Check that the host of the unsubscribe link exists."""
        host = self._sender.one_click
        if host and not self._addresses_of(host):
            what = f"{host} has no address in the DNS: nobody can unsubscribe"
            yield Finding(Severity.ERROR, "unsubscribe.url", what)


def _costliest(asking: tuple[str, int]) -> int:
    return -asking[1]


def _odd_terms(domain: str, record: spf.Record, path: str) -> Iterator[Finding]:
    for term in record.terms:
        if term.mechanism == "all" and term.qualifier is spf.Result.PASS:
            what = f"the SPF record of {domain} lets anybody send (`{term.text}`); write `~all`"
            yield Finding(Severity.WARNING, path, what)
        elif term.mechanism == "ptr":
            what = f"the SPF record of {domain} has `{term.text}`, which receivers may ignore (RFC 7208 5.5)"
            yield Finding(Severity.NOTE, path, what)
    if not record.final and not record.redirect:
        what = f"the SPF record of {domain} has no `all` at its end, so it refuses nobody"
        yield Finding(Severity.NOTE, path, what)
