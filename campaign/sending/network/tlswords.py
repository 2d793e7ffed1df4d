"""Explains TLS failures to people: OpenSSL's reasons → what to do. Pure; `transport` and `tls` call it.

Reasons are the names of OpenSSL's errors (sslerr.h, `ssl.SSLError.reason`), and codes those of
X509_verify_cert (x509_vfy.h).
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

_CLEAR = "; if this port starts without TLS (often 25 and 587), write `security: starttls`"
_TOO_OLD = "the server does not support TLS 1.2 or later, and nothing older is safe: it must be updated"
_OURS = "the server does not accept our certificate, `smtp.client_cert`"

# Another try would fail in the same way.
_FOR_GOOD = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "the server wants a certificate of ours: name it as"
    " `smtp.client_cert`, and its key as `smtp.client_key`",
    "TLSV1_ALERT_PROTOCOL_VERSION": _TOO_OLD,
    "UNSUPPORTED_PROTOCOL": _TOO_OLD,
    "WRONG_SSL_VERSION": _TOO_OLD,
    "SSLV3_ALERT_BAD_CERTIFICATE": _OURS,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": _OURS,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _OURS,
    "SSLV3_ALERT_CERTIFICATE_REVOKED": f"{_OURS}: it was revoked",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": f"{_OURS}: it has expired",
    "TLSV1_ALERT_UNKNOWN_CA": f"{_OURS}: the server does not know the authority that signed it",
}
_HINTS = {
    "WRONG_VERSION_NUMBER": _CLEAR,
    "PACKET_LENGTH_TOO_LONG": _CLEAR,
    "UNEXPECTED_MESSAGE": _CLEAR,
    # RFC 8446 6.2: before TLS 1.3 a missing certificate had no alert of its own.
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "; it may want a certificate of ours: `smtp.client_cert`",
}


def is_for_good(reason: str | None) -> bool:
    """Whether another try would meet the same error."""
    return reason in _FOR_GOOD


def why_broken(reason: str | None, message: str, *, begun: bool = False) -> str:
    """Return why TLS could not start, or after it had `begun`, why it ended.

    `message` is used if OpenSSL gives no reason.
    """
    if reason in _FOR_GOOD:
        return _FOR_GOOD[reason]
    hint = _HINTS.get(reason or "", "")
    return (reason or message).replace("_", " ").lower() + ("" if begun and hint == _CLEAR else hint)


_PEM = " in PEM form, which begins with a line such as -----BEGIN …-----"

# By verification code: what is wrong, and what to do.
_UNVERIFIED = {
    9: "is not valid yet: compare this machine's clock",
    10: "has expired: its owner must renew it",
    18: "is self-signed: name it, or the CA that should have signed it, in `smtp.ca_file`",
    19: "comes from an authority that this machine does not know: name its certificate in `smtp.ca_file`",
    20: "comes from an authority that this machine does not know: name its certificate in `smtp.ca_file`",
    24: "was signed by a certificate that may not sign others: its owner must get another",
    26: "is not for servers: its owner must get one that is",
    66: "has a key that is too short to be safe: its owner must get another",
    67: "was signed with a key that is too short to be safe: its owner must get another",
    68: "was signed with a digest that is no longer safe: its owner must get another",
}
MISNAMED = (62, 64)
"""The codes for a certificate that is for another name or address."""
_MOST_NAMES = 5


def why_unverified(code: int, message: str, name: str) -> str:
    """Return why the certificate of the server `name` could not be verified."""
    what = _UNVERIFIED.get(code)
    if what is None:
        return f"the certificate of {name} could not be verified: {message}"
    return f"the certificate of {name} {what} ({message})"


def why_misnamed(name: str, names: Sequence[str] = ()) -> str:
    """Return what to do if the certificate of the server `name` is for other names.

    `names` are those in the certificate, () if unknown.
    """
    some = ", ".join(names[:_MOST_NAMES])
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    others = f"{some}{more}" if some else "another name"
    write = "write the name in the certificate as `smtp.host`; or, if you must connect to"
    return f"the certificate of {name} is for {others}: {write} {name}, as `smtp.server_name`"


def why_no_authority(file: Path | None, error: Exception) -> str:
    """Return why the trusted authorities' certificates cannot be read; `file` is None for the system's."""
    if file is None or not isinstance(error, ssl.SSLError):
        return f"the certificates of authorities cannot be read ({file or 'of the system'}): {error}"
    if error.reason == "NO_CERTIFICATE_OR_CRL_FOUND":
        return f"{file} (`smtp.ca_file`) contains no certificate{_PEM}"
    return f"{file} (`smtp.ca_file`) contains a broken certificate: {error}"


def why_unusable(
    reason: str | None, certificate: Path, key: Path | None, *, passphrase: bool, readable: bool
) -> str:
    """Return why our certificate and its key cannot be used.

    `passphrase`: OpenSSL has asked for one. `readable`: the certificate's file contains a certificate.
    """
    where = f"{key} (`smtp.client_key`)" if key is not None else f"{certificate} (`smtp.client_cert`)"
    if passphrase:
        return f"the key in {where} has a passphrase: write a copy without one"
    # If the key is of another kind than the certificate, such as RSA and ECDSA, OpenSSL looks for a
    # certificate of the key's kind.
    if reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
        return f"the key in {where} does not belong to the certificate in {certificate}"
    if not readable:
        return f"{certificate} (`smtp.client_cert`) contains no certificate{_PEM}"
    if key is None:
        return f"{where} contains no private key beside the certificate: name its file in `smtp.client_key`"
    return f"{where} contains no private key{_PEM}"
