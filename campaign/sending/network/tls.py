"""Sets TLS up, always with verified certificates, and describes what was negotiated."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from campaign.errors import ConnectFailed
from campaign.sending.network.tlswords import (
    MISNAMED,
    why_misnamed,
    why_no_authority,
    why_unusable,
    why_unverified,
)
from campaign.wording import visible


@dataclass(frozen=True, slots=True)
class TLSInfo:
    """What was negotiated, for people. `names` are the hosts in the certificate; times are UNIX seconds."""

    version: str
    cipher: str
    names: tuple[str, ...]
    issuer: str
    not_after: float


class Misnamed(ConnectFailed):
    """The server's certificate is for other names than the one that we connected to."""


def tls_context(
    ca_file: Path | None = None, client_cert: Path | None = None, client_key: Path | None = None
) -> ssl.SSLContext:
    """Return a context that verifies certificate and name, with at least TLS 1.2.

    `ca_file` replaces the system's store. Raises ConnectFailed if a file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        path = "smtp.ca_file" if ca_file is not None else ""
        raise ConnectFailed(why_no_authority(ca_file, error), permanent=True, path=path) from error
    if client_cert is not None:
        _load_client_certificate(context, client_cert, client_key)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python 3.13 adds VERIFY_X509_STRICT, which refuses private CAs without key usage. With the same flags
    # everywhere, a server that is trusted today is trusted after an upgrade.
    context.verify_flags = (
        ssl.VerifyFlags.VERIFY_X509_TRUSTED_FIRST | ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    )
    context.options |= ssl.OP_NO_RENEGOTIATION
    return context


def _load_client_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    """Load our certificate and key into a context. Raises ConnectFailed."""
    passphrase = False

    def empty() -> str:
        """Without it, OpenSSL would ask for a passphrase at the terminal; "" makes that an error."""
        nonlocal passphrase
        passphrase = True
        return ""

    try:
        context.load_cert_chain(certificate, key, empty)
    except ssl.SSLError as error:
        readable = _holds_certificate(certificate)
        why = why_unusable(error.reason, certificate, key, passphrase=passphrase, readable=readable)
        path = "smtp.client_key" if readable and key is not None else "smtp.client_cert"
        raise ConnectFailed(why, permanent=True, path=path) from error
    except (OSError, ValueError) as error:
        files = ", ".join(str(file) for file in (certificate, key) if file is not None)
        why = f"the certificate files cannot be used ({files}): {error}"
        raise ConnectFailed(why, permanent=True, path="smtp.client_cert") from error


def _holds_certificate(file: Path) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except (OSError, ValueError):
        return False
    return True


def unverified(error: ssl.SSLCertVerificationError, name: str) -> ConnectFailed:
    """Return the error for a failed verification of the certificate of the server `name`."""
    if error.verify_code in MISNAMED:
        return Misnamed(why_misnamed(name), permanent=True)
    return ConnectFailed(why_unverified(error.verify_code, error.verify_message, name), permanent=True)


def tls_info(tls: ssl.SSLObject) -> TLSInfo:
    """Return what a finished handshake has negotiated."""
    certificate = cast(dict[str, Any], tls.getpeercert() or {})  # typeshed cannot say its nested shape
    cipher = tls.cipher()
    names = certificate.get("subjectAltName", ())  # (kind, name); a directory name is itself a tuple
    issuer = {key: value for part in certificate.get("issuer", ()) for key, value in part}
    return TLSInfo(
        version=tls.version() or "",
        cipher=cipher[0] if cipher else "",
        names=tuple(visible(name) for kind, name in names if kind in ("DNS", "IP Address")),
        issuer=visible(issuer.get("organizationName") or issuer.get("commonName") or ""),
        not_after=ssl.cert_time_to_seconds(certificate["notAfter"]) if "notAfter" in certificate else 0.0,
    )
