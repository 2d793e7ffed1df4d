"""A Unix socket that speaks Dovecot's authentication protocol (version 1.1), which Postfix asks.

Lines of fields separated by tabs. PLAIN, LOGIN and XOAUTH2; a user has one secret, which is the
password of the first two and the bearer token of the third.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import re
import socketserver
import threading
from collections.abc import Mapping
from pathlib import Path

MECHANISMS = ("PLAIN", "LOGIN", "XOAUTH2")


class AuthServer:
    """Listens at `path` until `close`."""

    def __init__(self, path: Path, users: Mapping[str, str]) -> None:
        class Conversation(_Conversation):
            secrets = users

        self._server = socketserver.ThreadingUnixStreamServer(str(path), Conversation)
        self._server.daemon_threads = True
        path.chmod(0o666)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Conversation(socketserver.StreamRequestHandler):
    secrets: Mapping[str, str]

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # Postfix went away
            self._say("VERSION", "1", "1")
            for mechanism in MECHANISMS:
                self._say("MECH", mechanism, "plaintext")
            self._say("SPID", "1")
            self._say("CUID", "1")
            self._say("COOKIE", "0123456789abcdef0123456789abcdef")
            self._say("DONE")
            for line in self.rfile:
                command, *fields = line.decode().rstrip("\n").split("\t")
                if command == "AUTH":
                    self._authenticate(*fields)

    def _authenticate(self, number: str, mechanism: str, *options: str) -> None:
        initial = next((_decode(o.removeprefix("resp=")) for o in options if o.startswith("resp=")), None)
        if mechanism == "LOGIN":
            user = self._ask(number, b"Username:") if initial is None else initial
            password = self._ask(number, b"Password:")
            self._answer(number, user.decode(), password.decode())
            return
        response = self._ask(number, b"") if initial is None else initial
        if mechanism == "PLAIN":
            _, user, password = response.split(b"\0")
            self._answer(number, user.decode(), password.decode())
            return
        match = re.fullmatch(rb"user=([^\x01]+)\x01auth=Bearer ([^\x01]+)\x01\x01", response)
        user_name, token = (match[1].decode(), match[2].decode()) if match else ("", "")
        if self.secrets.get(user_name) != token:
            # XOAUTH2 explains a refusal in a challenge, which the client answers with nothing.
            self._ask(number, json.dumps({"status": "401", "schemes": "Bearer"}).encode())
        self._answer(number, user_name, token)

    def _ask(self, number: str, challenge: bytes) -> bytes:
        self._say("CONT", number, base64.b64encode(challenge).decode())
        _, _, response = self.rfile.readline().decode().rstrip("\n").split("\t")
        return _decode(response)

    def _answer(self, number: str, user: str, secret: str) -> None:
        right = user in self.secrets and self.secrets[user] == secret
        self._say("OK" if right else "FAIL", number, f"user={user}")

    def _say(self, *fields: str) -> None:
        self.wfile.write("\t".join(fields).encode() + b"\n")


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
