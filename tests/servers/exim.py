"""A private real Exim in a temporary folder, on one loopback port with STARTTLS; nothing leaves the machine.

    server = Exim(certificates)
    ... mail to localhost:server.port ...
    for mail in server.wait_delivered(3): mail.sender, mail.recipient, mail.content
    server.stop()

It queues what it takes, and delivers into one maildir when it is asked what was delivered. As root it runs
as it is; anyone else's runs in a user namespace (`unshare --map-root-user --map-auto`). Debian's package
cannot stand beside Postfix, and needs not be installed: `dpkg -x` unpacks it (see .ci/run).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.need import need
from tests.servers.certificates import Certificates, Kind
from tests.servers.postfix import Delivered, free_port

USER = "Debian-exim"  # Debian's Exim knows it by name, and does not start without it

CONFIGURATION = """
primary_hostname = localhost
spool_directory = {D}/spool
log_file_path = {D}/log/%slog
pid_file_path = {D}/exim.pid
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
keep_environment =
queue_only
smtp_accept_max = 50
tls_advertise_hosts = *
tls_certificate = {D}/cert.pem
tls_privatekey = {D}/key.pem
chunking_advertise_hosts = {chunking}
acl_smtp_rcpt = rcpt
acl_smtp_data = data
begin acl
rcpt:
 deny local_parts = bad
  message = 550 5.1.1 no
 defer local_parts = defer
  message = 450 4.2.1 busy
 accept
data:
 deny condition = ${{if eq{{$sender_address}}{{e554@x.test}}}}
  message = 554 5.7.1 content
 accept
begin routers
all:
 driver = accept
 transport = maildir
begin transports
maildir:
 driver = appendfile
 directory = {D}/mail
 maildir_format
 create_directory
 user = {user}
 return_path_add
 envelope_to_add
"""


class Exim:
    """See the module. `chunking`: whether it offers BDAT."""

    host = "localhost"

    def __init__(self, certificates: Certificates, *, chunking: bool = True) -> None:
        program = need("exim4")
        self.ca_file = certificates.ca_file
        self.folder = Path(tempfile.mkdtemp(prefix="campaign-exim-"))
        self.folder.chmod(0o755)
        certificate, key = certificates.pair(Kind.LOCALHOST)
        shutil.copy(certificate, self.folder / "cert.pem")
        shutil.copy(key, self.folder / "key.pem")
        (self.folder / "key.pem").chmod(0o644)
        self.port = free_port()
        values = {"D": self.folder, "port": self.port, "user": USER, "chunking": "*" if chunking else ""}
        (self.folder / "conf").write_text(CONFIGURATION.format(**values))
        self._namespace = [] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--map-auto"]
        self._exim = [str(program), "-C", str(self.folder / "conf")]
        make = f"mkdir spool log mail && chown {USER} spool log mail && exec {' '.join(self._exim)} -bdf"
        with (self.folder / "said").open("w") as said:
            self._process = subprocess.Popen(
                [*self._namespace, "sh", "-c", make], cwd=self.folder, stdout=said, stderr=said
            )
        self._wait()

    def wait_delivered(self, count: int = 0, timeout: float = 120) -> list[Delivered]:
        """Deliver what is queued, and return the mailbox, of at least `count` messages."""
        deadline = time.monotonic() + timeout
        while True:
            self._run(*self._exim, "-qf")
            delivered = list(self.mailbox())
            if not any((self.folder / "spool" / "input").glob("**/*-H")) and len(delivered) >= count:
                return delivered
            assert time.monotonic() < deadline, self.log()[-3000:]
            time.sleep(0.05)

    def mailbox(self) -> Iterator[Delivered]:
        """Iterate over what was delivered so far, in no particular order."""
        self._run("chmod", "-R", "a+rX", str(self.folder))
        for file in sorted(self.folder.glob("mail/new/*")):
            yield _delivered(file.read_bytes())

    def log(self) -> str:
        """What it has logged so far."""
        self._run("chmod", "-R", "a+rX", str(self.folder))
        files = [self.folder / "said", *sorted((self.folder / "log").glob("*log"))]
        return "".join(file.read_text(errors="replace") for file in files)

    def empty(self) -> None:
        """Remove what was delivered, and what was logged."""
        self.wait_delivered()
        self._run("sh", "-c", f"rm -rf {self.folder}/mail/* && for f in {self.folder}/log/*; do : >$f; done")

    def stop(self) -> None:
        """Stop it, and remove its folder."""
        self._process.terminate()
        self._process.wait()
        self._run("rm", "-rf", str(self.folder))

    def _run(self, *command: str) -> None:
        subprocess.run([*self._namespace, *command], check=True, stdin=subprocess.DEVNULL)

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 10) as one:
                if one.recv(4).startswith(b"220"):
                    return
            time.sleep(0.02)
        raise AssertionError(f"Exim did not start:\n{self.log()[-3000:]}")


def _delivered(raw: bytes) -> Delivered:
    lines = raw.split(b"\n")
    sender = lines[0].removeprefix(b"Return-path: ").strip(b"<>")
    recipient = lines[1].removeprefix(b"Envelope-to: ")
    start = next(n for n, line in enumerate(lines[3:], 3) if line[:1] not in (b" ", b"\t"))
    return Delivered(sender.decode(), recipient.decode(), b"\r\n".join(lines[start:]))
