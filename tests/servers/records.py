"""Records of TLS 1.3 as a server might send them, and no library lets it: RFC 8446 5.2 and 7.3.

Keys come from the log of a handshake (`SSLContext.keylog_filename`).
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HANDSHAKE, APPLICATION_DATA = 22, 23
CIPHER = "TLS_AES_256_GCM_SHA384"  # which OpenSSL prefers


class Records:
    """What a server sends after a handshake in which it has issued no ticket, from the first record on."""

    def __init__(self, keys: Path) -> None:
        lines = (line.split() for line in keys.read_text().splitlines())
        [secret] = [bytes.fromhex(line[2]) for line in lines if line[0] == "SERVER_TRAFFIC_SECRET_0"]
        self._cipher = AESGCM(_expanded(secret, b"key", 32))
        self._iv = int.from_bytes(_expanded(secret, b"iv", 12), "big")
        self._number = 0

    def one(self, kind: int, octets: bytes) -> bytes:
        """Return the next record."""
        content = octets + bytes([kind])
        head = b"\x17\x03\x03" + struct.pack(">H", len(content) + 16)
        nonce = (self._iv ^ self._number).to_bytes(12, "big")
        self._number += 1
        return head + self._cipher.encrypt(nonce, content, head)


def _expanded(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label with no context, of a length that one block has."""
    label = b"tls13 " + label
    info = struct.pack(">H", length) + bytes([len(label)]) + label + b"\0\x01"
    return hmac.new(secret, info, hashlib.sha384).digest()[:length]
