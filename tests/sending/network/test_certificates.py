"""Certificates of servers and of clients: names in them, and errors for those that cannot be used."""

from __future__ import annotations

import contextlib
import datetime
import re
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from campaign.errors import ConnectFailed
from campaign.sending.network.tls import TLSInfo, tls_context, tls_info
from campaign.sending.network.tlswords import why_unverified
from tests.servers.certificates import Certificates, Kind

NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a\nb")])
SERVER = ExtendedKeyUsageOID.SERVER_AUTH


@dataclass
class Pair:
    """A self-signed certificate, and its key, as files."""

    folder: Path
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    purpose: x509.ObjectIdentifier = SERVER

    def __post_init__(self) -> None:
        now = datetime.datetime.now(datetime.UTC)
        names = [x509.DNSName("localhost"), x509.DNSName("x\nfake: line\x1b[2J"), x509.DirectoryName(NAME)]
        certificate = (
            x509.CertificateBuilder(NAME, NAME, self.key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([self.purpose]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        self.file, self.key_file = self.folder / "one.pem", self.folder / "one.key"
        self.file.write_bytes(certificate.public_bytes(Encoding.PEM))
        self.key_file.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def shown(pair: Pair) -> TLSInfo:
    """Make a handshake with a server that has this certificate, which is trusted."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.set_ciphers("ALL:@SECLEVEL=0")
    server.load_cert_chain(pair.file, pair.key_file)
    client = tls_context(pair.file).wrap_bio(back, there, server_hostname="localhost")
    other = server.wrap_bio(there, back, server_side=True)
    for end in (client, other, client, other):
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    return tls_info(client)


def test_names_in_a_certificate_cannot_control_the_terminal(tmp_path: Path) -> None:
    info = shown(Pair(tmp_path, ec.generate_private_key(ec.SECP256R1())))
    assert info.names == ("localhost", r"x\x0afake: line\x1b[2J")
    assert info.issuer == r"a\x0ab"


@pytest.mark.parametrize(
    ("bits", "purpose", "words"),
    [
        (1024, SERVER, "has a key that is too short to be safe"),
        (2048, ExtendedKeyUsageOID.CLIENT_AUTH, "is not for servers"),
    ],
)
def test_an_untrusted_certificate_is_explained(
    tmp_path: Path, bits: int, purpose: x509.ObjectIdentifier, words: str
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError) as failed:
        shown(Pair(tmp_path, rsa.generate_private_key(65537, bits), purpose))
    said = why_unverified(failed.value.verify_code, failed.value.verify_message, "localhost")
    assert said.startswith(f"the certificate of localhost {words}: its owner must get ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "contains no certificate in PEM form"),
        (b"\x30\x82\x01\x0a", "contains no certificate in PEM form"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "a broken certificate"),
    ],
    ids=["empty", "DER", "broken"],
)
def test_an_unreadable_ca_file_is_reported(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(content)
    match = re.escape(f"{file} (`smtp.ca_file`) ") + f".*{words}"
    with pytest.raises(ConnectFailed, match=match) as failed:
        tls_context(file)
    assert failed.value.permanent
    assert failed.value.path == "smtp.ca_file"


def test_the_unusable_client_certificate_file_is_named(certificates: Certificates, tmp_path: Path) -> None:
    certificate, key = certificates.pair(Kind.LOCALHOST)
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\x30\x82\x01\x0a")
    cases = (
        (
            garbage,
            key,
            "smtp.client_cert",
            f"{garbage} (`smtp.client_cert`) contains no certificate in PEM form",
        ),
        (
            key,
            certificate,
            "smtp.client_cert",
            f"{key} (`smtp.client_cert`) contains no certificate in PEM form",
        ),
        (
            certificate,
            garbage,
            "smtp.client_key",
            f"{garbage} (`smtp.client_key`) contains no private key in PEM",
        ),
        (
            certificate,
            None,
            "smtp.client_cert",
            "contains no private key beside the certificate",
        ),
    )
    for ours, its_key, path, match in cases:
        with pytest.raises(ConnectFailed, match=re.escape(match)) as failed:
            tls_context(None, ours, its_key)
        assert failed.value.path == path
