"""A private CA with certificates that are right, and some that are wrong in one way each."""

from __future__ import annotations

import datetime
from enum import StrEnum
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Kind(StrEnum):
    """What a server shows. LOCALHOST is good for `localhost` and 127.0.0.1, ENDING for four days more."""

    LOCALHOST = "localhost"
    ENDING = "ending"
    WRONG_NAME = "wrong-name"
    EXPIRED = "expired"
    SELF_SIGNED = "self-signed"


class Certificates:
    """`ca_file`, `client` (certificate and key), and a server's pair of each Kind, as PEM files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca_file = folder / "ca.pem"
        authority = trustme.CA(organization_name="campaign tests")
        authority.cert_pem.write_to_path(self.ca_file)
        now = datetime.datetime.now(datetime.UTC)
        past, soon = now - datetime.timedelta(days=1), now + datetime.timedelta(days=4, hours=12)
        self._write(Kind.LOCALHOST, authority.issue_cert("localhost", "127.0.0.1"))
        self._write(Kind.ENDING, authority.issue_cert("localhost", "127.0.0.1", not_after=soon))
        self._write(Kind.WRONG_NAME, authority.issue_cert("mail.example.com"))
        self._write(Kind.EXPIRED, authority.issue_cert("localhost", "127.0.0.1", not_after=past))
        self._write_self_signed()
        self._write("client", authority.issue_cert("client.example.com"))
        self.client = self.pair("client")

    def pair(self, kind: str) -> tuple[Path, Path]:
        """Return the paths of certificate (with its chain) and key."""
        return self.folder / f"{kind}.pem", self.folder / f"{kind}.key"

    def _write(self, kind: str, leaf: trustme.LeafCert) -> None:
        certificate, key = self.pair(kind)
        for number, blob in enumerate(leaf.cert_chain_pems):
            blob.write_to_path(certificate, append=number > 0)
        leaf.private_key_pem.write_to_path(key)

    def _write_self_signed(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(key, hashes.SHA256())
        )
        certificate_file, key_file = self.pair(Kind.SELF_SIGNED)
        certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
