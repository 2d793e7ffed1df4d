"""A private real Dovecot in a temporary folder, on one loopback port that speaks TLS, as no privileged user.

server = Dovecot(certificates)
... IMAP to localhost:server.port as bounces, whose password is server.password ...
server.stop()
"""

from __future__ import annotations

import base64
import contextlib
import grp
import hmac
import imaplib
import json
import os
import pwd
import secrets
import shutil
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.certificates import Certificates, Kind
from tests.servers.postfix import free_port

CONFIGURATION = """
base_dir = {D}/run
state_dir = {D}/run
log_path = {D}/log
protocols = imap
listen = 127.0.0.1
ssl = required
ssl_cert = <{D}/cert.pem
ssl_key = <{D}/cert.key
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
mail_location = maildir:{D}/mail
first_valid_uid = 1
first_valid_gid = 1
{more}
passdb {{
  driver = passwd-file
  args = {D}/users
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={D}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
namespace inbox {{
  inbox = yes
}}
"""


# Access tokens are JSON Web Tokens that it verifies by itself, signed with the key in `keys`.
TOKENS = """
auth_mechanisms = plain xoauth2
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {D}/tokens.conf
}}
"""
VERIFYING = """
introspection_mode = local
local_validation_key_dict = fs:posix:prefix={D}/keys/
username_attribute = sub
"""


class Dovecot:
    """See the module.

    `capability` is what it says that it can, in the place of all that it can. `tokens`: it takes access
    tokens (`token`) as well as passwords.
    """

    host = "localhost"
    username, password = "bounces", "gehe\u00efm \"'\\"

    def __init__(self, certificates: Certificates, *, capability: str = "", tokens: bool = False) -> None:
        self.ca_file = certificates.ca_file
        self.folder = Path(tempfile.mkdtemp(prefix="campaign-dovecot-"))
        root = os.geteuid() == 0
        user = "nobody" if root else pwd.getpwuid(os.geteuid()).pw_name
        group = "nogroup" if root else grp.getgrgid(os.getegid()).gr_name
        certificate, key = certificates.pair(Kind.LOCALHOST)
        shutil.copy(certificate, self.folder / "cert.pem")
        shutil.copy(key, self.folder / "cert.key")
        (self.folder / "run").mkdir()
        (self.folder / "mail").mkdir()
        (self.folder / "users").write_text(f"{self.username}:{{PLAIN}}{self.password}\n", "utf-8")
        self.port = free_port()
        more = f"imap_capability = {capability}" if capability else ""
        self._key = secrets.token_bytes(32)
        if tokens:
            more += TOKENS.format(D=self.folder)
            key = self.folder / "keys" / "default" / "HS256" / "default"
            key.parent.mkdir(parents=True)
            key.write_bytes(base64.b64encode(self._key))
            (self.folder / "tokens.conf").write_text(VERIFYING.format(D=self.folder))
        (self.folder / "dovecot.conf").write_text(
            CONFIGURATION.format(D=self.folder, user=user, group=group, port=self.port, more=more)
        )
        if root:
            for path in (self.folder, *self.folder.rglob("*")):
                shutil.chown(path, user, group)
        self._process = subprocess.Popen(
            ["/usr/sbin/dovecot", "-F", "-c", str(self.folder / "dovecot.conf")],
            user=user if root else None,
            group=group if root else None,
            extra_groups=[] if root else None,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError, imaplib.IMAP4.error), self.session():
                return
            assert self._process.poll() is None, (self.folder / "log").read_text(errors="replace")
            assert time.monotonic() < deadline, (self.folder / "log").read_text(errors="replace")
            time.sleep(0.05)

    def token(self, *, lasts: int = 600) -> str:
        """Return an access token for so many seconds: a JSON Web Token (RFC 7519)."""
        now = int(time.time())
        claims = {"sub": self.username, "iat": now - 60, "exp": now + lasts}
        parts = [{"alg": "HS256", "typ": "JWT"}, claims]
        signed = b".".join(_base64url(json.dumps(part).encode()) for part in parts)
        return (signed + b"." + _base64url(hmac.digest(self._key, signed, "sha256"))).decode()

    @contextmanager
    def session(self) -> Iterator[imaplib.IMAP4_SSL]:
        """A session of another program."""
        context = ssl.create_default_context(cafile=self.ca_file)
        session = imaplib.IMAP4_SSL(self.host, self.port, ssl_context=context)
        try:
            session.authenticate("PLAIN", lambda _: f"\0{self.username}\0{self.password}".encode())
            yield session
        finally:
            session.logout()

    def deliver(self, *mails: bytes, folder: str = "INBOX", flags: str = "") -> None:
        """Put mails into a folder."""
        with self.session() as session:
            for mail in mails:
                answer, said = session.append(folder, flags, "", mail)
                assert answer == "OK", said

    def mails(self, folder: str = "INBOX") -> list[tuple[bytes, set[str]]]:
        """Return the content and the flags of each mail in a folder, without marking them as seen."""
        with self.session() as session:
            answer, _ = session.select(folder, readonly=True)
            if answer != "OK":
                return []
            _, found = session.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[])")
            pairs = [part for part in found if isinstance(part, tuple)]
        flags = [imaplib.ParseFlags(head) for head, _ in pairs]
        return [(pair[1], {flag.decode() for flag in of}) for pair, of in zip(pairs, flags, strict=True)]

    def empty(self) -> None:
        """Remove every mail and every folder."""
        with self.session() as session:
            _, folders = session.list()
            for line in filter(None, folders):
                assert isinstance(line, bytes)
                name = line.decode().rpartition(' "." ')[2]
                if name.strip('"') != "INBOX":
                    session.delete(name)
            session.select("INBOX")
            session.uid("STORE", "1:*", "+FLAGS.SILENT", "(\\Deleted)")
            session.expunge()

    def stop(self) -> None:
        """Stop it, and remove its folder."""
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _base64url(octets: bytes) -> bytes:
    return base64.urlsafe_b64encode(octets).rstrip(b"=")
