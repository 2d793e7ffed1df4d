"""What TLS is set up with, and what was negotiated: certificates are verified, whatever the server is."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from campaign.errors import ConnectFailed
from campaign.sending.tlswords import why_unusable


@dataclass(frozen=True, slots=True)
class TLSInfo:
    """What was negotiated, for people. `names` are the certificate's; times are UNIX seconds."""

    version: str
    cipher: str
    names: tuple[str, ...]
    issuer: str
    not_after: float


def tls_context(
    ca_file: Path | None = None, client_cert: Path | None = None, client_key: Path | None = None
) -> ssl.SSLContext:
    """Return a context that verifies certificate and name, with TLS 1.2 at least.

    `ca_file` replaces the system's store. Raises ConnectFailed where a file cannot be used.
    """
    unusable = ""
    try:
        context = ssl.create_default_context(cafile=ca_file)
        if client_cert is not None:
            passphrase = False

            def empty() -> str:
                """A key with a passphrase would ask at the terminal; this answer makes it an error."""
                nonlocal passphrase
                passphrase = True
                return ""

            try:
                context.load_cert_chain(client_cert, client_key, empty)
            except ssl.SSLError as error:
                unusable = why_unusable(error.reason, client_cert, client_key, passphrase=passphrase)
                raise
    except (OSError, ValueError) as error:
        if unusable:
            raise ConnectFailed(unusable, permanent=True) from error
        files = ", ".join(str(file) for file in (ca_file, client_cert, client_key) if file is not None)
        raise ConnectFailed(
            f"the certificate files cannot be used ({files}): {error}", permanent=True
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python 3.13 adds VERIFY_X509_STRICT, which private CAs without key usage fail: the same flags
    # everywhere, so that a server that is trusted today is trusted after an upgrade.
    context.verify_flags = (
        ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST | ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    )
    context.options |= ssl.OP_NO_RENEGOTIATION
    return context


def tls_info(tls: ssl.SSLObject) -> TLSInfo:
    """Return what was negotiated in a handshake that has ended."""
    certificate = cast(dict[str, Any], tls.getpeercert() or {})  # typeshed cannot say its nested shape
    cipher = tls.cipher()
    issuer = {key: value for part in certificate.get("issuer", ()) for key, value in part}
    return TLSInfo(
        version=tls.version() or "",
        cipher=cipher[0] if cipher else "",
        names=tuple(value for _, value in certificate.get("subjectAltName", ())),
        issuer=issuer.get("organizationName") or issuer.get("commonName") or "",
        not_after=ssl.cert_time_to_seconds(certificate["notAfter"]) if "notAfter" in certificate else 0.0,
    )
