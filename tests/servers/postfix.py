"""A private real Postfix in a temporary folder, on two loopback ports, that dies with its parent.

    server = Postfix(certificates, auth=True, message_size_limit=8000)
    ... mail to localhost:server.port (STARTTLS offered) or server.tls_port (implicit TLS) ...
    for mail in server.wait_delivered(3): mail.sender, mail.recipient, mail.content
    server.stop()

Mail for any address of any domain is delivered into one maildir; nothing leaves the machine. As
root it runs as it is; anyone else's runs in a user namespace (`unshare --map-root-user --map-auto`).

A shell, the keeper, starts Postfix and then runs what it reads from its standard input: within the
namespace only it can look into Postfix's folders. When that pipe closes, for whatever reason, it
stops Postfix and removes the folder.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.servers.certificates import Certificates, Kind
from tests.servers.dovecot import AuthServer

# What RCPT TO these addresses is answered.
RECIPIENT_FAULTS = {
    "bad@example.test": "550 5.1.1 no",
    "defer@example.test": "450 4.2.1 busy",
    "bye@example.test": "421 4.7.0 bye",
}
# Among `smtpd_end_of_data_restrictions`: the log tells each content that is here to its final dot.
TELL_CONTENTS = "check_client_access static:INFO"
# What the final dot is answered where MAIL FROM named these.
SENDER_FAULTS = {
    "e452@x.test": "452 4.3.1 full",
    "e421@x.test": "421 4.7.0 limit",
    "e554@x.test": "554 5.7.1 content",
}

MAIN = """
compatibility_level = 3.6
queue_directory = {D}/queue
data_directory = {D}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = {D}/mail.log
maillog_file_prefixes = {D}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = localhost
mydestination =
alias_maps =
local_recipient_maps =
local_header_rewrite_clients =
mynetworks = 127.0.0.0/8
in_flow_delay = 0
virtual_mailbox_domains = static:all
virtual_mailbox_base = {D}/mail
virtual_mailbox_maps = static:sink/
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_minimum_uid = 1
default_transport = discard
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject
smtpd_recipient_restrictions =
 check_recipient_access texthash:{D}/etc/rcpt, permit_mynetworks, permit_sasl_authenticated, reject
smtpd_end_of_data_restrictions = check_sender_access texthash:{D}/etc/eod
smtpd_tls_security_level = may
smtpd_tls_cert_file = {D}/etc/cert.pem
smtpd_tls_key_file = {D}/etc/key.pem
smtpd_tls_CAfile = {D}/etc/ca.pem
smtpd_tls_auth_only = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {D}/auth.sock
smtpd_sasl_auth_enable = no
"""

MASTER = """\
127.0.0.1:{plain} inet n - n - - smtpd
127.0.0.1:{tls} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
virtual unix - n n - - virtual
discard unix - - n - - discard
error unix - - n - - error
retry unix - - n - - error
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
showq unix n - n - - showq
tlsmgr unix - - n 1000? 1 tlsmgr
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""

KEEPER = """
cd "$1" || exit 1
umask 022
for name in incoming active deferred bounce defer trace hold corrupt flush saved private; do
    mkdir -p -m 700 "queue/$name" && chown postfix "queue/$name"
done
mkdir -p queue/pid queue/public queue/maildrop data mail
chown postfix:postdrop queue/public queue/maildrop
chmod 710 queue/public && chmod 730 queue/maildrop
chown postfix data && chown nobody:nogroup mail && chmod 755 mail
export MAIL_CONFIG="$1/etc"
begin() { /usr/lib/postfix/sbin/master -c "$PWD/etc" -d </dev/null >out 2>&1 & master=$!; }
end_sessions() {
    for process in /proc/[0-9]*/stat; do
        read -r pid name state parent rest <"$process" 2>/dev/null || continue
        if [ "$parent $name" = "$master (smtpd)" ]; then kill "$pid"; fi
    done
}
queued() { find queue/incoming queue/active queue/maildrop queue/deferred -type f | wc -l; }
unlock() {
    find mail out mail.log -type f ! -perm -004 -exec chmod a+r {} + 2>/dev/null
    find mail -type d -exec chmod a+rx {} +
}
echo ready
while read -r command; do eval "$command"; echo done; done
kill "$master" && wait "$master"
cd / && until rm -rf "$1" 2>/dev/null; do sleep 0.1; done
"""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message in the mailbox: the envelope it came with, and its content with CRLF line ends.

    `content` is without the trace headers that Postfix put before it.
    """

    sender: str
    recipient: str
    content: bytes


class Postfix:
    """See the module. `parameters` override main.cf, `services` are added to master.cf.

    `auth` asks for a login with one of `users`.
    """

    host = "localhost"

    def __init__(
        self,
        certificates: Certificates,
        *,
        kind: Kind = Kind.LOCALHOST,
        auth: bool = False,
        users: Mapping[str, str] | None = None,
        recipient_faults: Mapping[str, str] | None = None,
        sender_faults: Mapping[str, str] | None = None,
        services: str = "",
        **parameters: str | int,
    ) -> None:
        self.certificates = certificates
        self.ca_file = certificates.ca_file
        self.users = {"news": "secret"} if users is None else dict(users)
        # Not pytest's folders: those only their owner may enter, and Postfix runs as several users.
        self.folder = Path(tempfile.mkdtemp(prefix="campaign-postfix-"))
        self.folder.chmod(0o755)
        etc = self.folder / "etc"
        etc.mkdir()
        certificate, key = certificates.pair(kind)
        shutil.copy(certificate, etc / "cert.pem")
        shutil.copy(key, etc / "key.pem")
        shutil.copy(certificates.ca_file, etc / "ca.pem")
        self._write_table("rcpt", RECIPIENT_FAULTS if recipient_faults is None else recipient_faults)
        self._write_table("eod", SENDER_FAULTS if sender_faults is None else sender_faults)
        if auth:
            parameters = {"mynetworks": "", "smtpd_sasl_auth_enable": "yes", **parameters}
        self._parameters = parameters
        self._services = services
        self._write_main()
        self._auth = AuthServer(self.folder / "auth.sock", self.users) if auth else None
        self._lock = threading.Lock()
        self._keeper: subprocess.Popen[str] | None = _start_keeper(self.folder)
        self._start()

    def mailbox(self) -> Iterator[Delivered]:
        """Iterate over what was delivered so far, in no particular order."""
        self._run(
            "find mail -type f ! -perm -004 -exec chmod a+r {} +; find mail -type d -exec chmod a+rx {} +"
        )
        folder = self.folder / "mail" / "sink" / "new"
        for file in sorted(folder.iterdir()) if folder.exists() else ():
            yield _delivered(file.read_bytes())

    def wait_delivered(self, count: int = 0, timeout: float = 60) -> list[Delivered]:
        """Wait until the queue is empty and return the mailbox, of at least `count` messages.

        Raises AssertionError, with the end of the log, where that does not come to pass.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            queued = self._run(
                "find queue/incoming queue/active queue/maildrop queue/deferred -type f | wc -l"
            )
            if int(queued) == 0:
                delivered = list(self.mailbox())
                if len(delivered) >= count:
                    return delivered
            time.sleep(0.05)
        raise AssertionError(f"not {count} messages delivered in {timeout} s:\n{self.log()[-3000:]}")

    def empty(self) -> None:
        """Wait for the queue to drain, and remove what was delivered."""
        self.wait_delivered()
        self._run("find mail -type f -delete")

    def log(self) -> str:
        """The mail log so far."""
        self._run("unlock")
        files = (self.folder / "out", self.folder / "mail.log")
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    def contents(self) -> int:
        """How many contents were here to their final dot so far, answered or not; with TELL_CONTENTS."""
        return self.log().count(": info: END-OF-MESSAGE ")

    def reload(
        self,
        *,
        recipient_faults: Mapping[str, str] | None = None,
        sender_faults: Mapping[str, str] | None = None,
        **parameters: str | int,
    ) -> None:
        """Change fault tables or main.cf. Cuts open sessions: an old smtpd would go on by the old rules."""
        if recipient_faults is not None:
            self._write_table("rcpt", recipient_faults)
        if sender_faults is not None:
            self._write_table("eod", sender_faults)
        self._parameters = {**self._parameters, **parameters}
        self._write_main()
        reloads = self.log().count(": reload --")
        self._run('kill -HUP "$master"')
        deadline = time.monotonic() + 30
        while self.log().count(": reload --") == reloads:
            assert time.monotonic() < deadline, self.log()[-3000:]
            time.sleep(0.02)
        self._run("end_sessions")

    def stop(self) -> None:
        """Stop it, and remove its folder. Stopping twice does nothing."""
        if self._auth is not None:
            self._auth.close()
            self._auth = None
        if self._keeper is not None:
            self._keeper.communicate()
            self._keeper = None

    def _write_table(self, name: str, table: Mapping[str, str]) -> None:
        lines = "".join(f"{key} {value}\n" for key, value in table.items())
        (self.folder / "etc" / name).write_text(lines)

    def _write_main(self) -> None:
        overrides = "".join(f"{name} = {value}\n" for name, value in self._parameters.items())
        main = MAIN.format(D=self.folder)
        kept = [line for line in _logical_lines(main) if line.split(" =")[0] not in self._parameters]
        (self.folder / "etc" / "main.cf").write_text("\n".join(kept) + "\n" + overrides)

    def _start(self) -> None:
        for _ in range(5):  # another process may take a port between our look and Postfix's bind
            self.port, self.tls_port = free_port(), free_port()
            services = MASTER.format(plain=self.port, tls=self.tls_port) + self._services
            (self.folder / "etc" / "master.cf").write_text(services)
            self._run("begin")
            if self._answers():
                return
        words = self.log()
        self.stop()
        raise AssertionError(f"Postfix did not start:\n{words[-3000:]}")

    def _answers(self) -> bool:
        deadline = time.monotonic() + 30
        waiting = [self.port, self.tls_port]
        while waiting and time.monotonic() < deadline:
            if self._run('kill -0 "$master" 2>/dev/null && echo alive') != "alive":
                return False
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", waiting[0]), timeout=10) as probe,
            ):
                if waiting[0] == self.tls_port or probe.recv(4).startswith(b"220"):
                    waiting.pop(0)
                    continue
            time.sleep(0.02)
        return not waiting

    def _run(self, command: str) -> str:
        """Run a shell command in Postfix's folder and namespace, and return what it printed."""
        assert self._keeper is not None, "stopped"
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        with self._lock:
            self._keeper.stdin.write(command + "\n")
            self._keeper.stdin.flush()
            printed = []
            while (line := self._keeper.stdout.readline()) != "done\n":
                assert line, "Postfix's keeper has died"
                printed.append(line)
        return "".join(printed).strip()


def _start_keeper(folder: Path) -> subprocess.Popen[str]:
    namespace = [] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--map-auto"]
    keeper = subprocess.Popen(
        [*namespace, "sh", "-c", KEEPER, "sh", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert keeper.stdout is not None
    assert keeper.stdout.readline() == "ready\n"
    return keeper


def free_port() -> int:
    """A port that nobody listens at, below those that the kernel gives to outgoing connections."""
    while True:
        port = random.randrange(20000, 32000)
        with contextlib.suppress(OSError), socket.socket() as trial:
            trial.bind(("127.0.0.1", port))
            return port


def _logical_lines(main: str) -> list[str]:
    return main.strip().replace("\n ", " ").splitlines()


_TRACE = (b"return-path:", b"x-original-to:", b"delivered-to:", b"received:")


def _delivered(raw: bytes) -> Delivered:
    sender = recipient = b""
    rest = raw
    while rest.lower().startswith(_TRACE):
        end = rest.index(b"\n") + 1
        while rest[end : end + 1] in (b" ", b"\t"):
            end = rest.index(b"\n", end) + 1
        name, _, value = rest[:end].partition(b":")
        if name.lower() == b"return-path" and not sender:
            sender = value.strip().strip(b"<>")
        elif name.lower() == b"x-original-to" and not recipient:
            recipient = value.strip()
        elif name.lower() == b"received":
            rest = rest[end:]
            break  # Postfix's own comes last; what follows came with the message
        rest = rest[end:]
    return Delivered(sender.decode(), recipient.decode(), rest.replace(b"\n", b"\r\n"))
