"""The page behind unsubscribe links: what it answers, under a real server, to whom."""

from __future__ import annotations

import http.client
import re
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser

from campaign.ledger import Ledger
from campaign.ledger.protocols import Intent
from campaign.ledger.sqlite import opening
from campaign.model import Recipient
from campaign.samples import copy
from campaign.unsubscribe import Application
from campaign.unsubscribe.pages import TEXTS, Pages, masked
from campaign.unsubscribe.settings import read_settings
from tests.browser import launched
from tests.folder import write_campaign
from tests.ledger.book import NOW, enrol, message_id, outcome, result, start
from tests.markdown import README, blocks

ANNA, BEN, COPY = "anna@example.com", "ben@example.com", "boss@example.com"
TOKENS = {ANNA: "0123456789abcdef0123", BEN: "fedcba98765432100000"}
# As Gmail and Yahoo send it (RFC 8058 3.2), and as multipart.
ONE_CLICK = urlencode({"List-Unsubscribe": "One-Click"}).encode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A campaign that Anna and Ben got, Ben with a copy."""
    file = write_campaign(
        tmp_path,
        unsubscribe={"mailto": "leave@example.com", "url": "https://example.com/u/{{ bounce.token }}"},
    )
    with closing(Ledger.open(tmp_path / "ledger.db", "spring", file)) as ledger:
        people = (ANNA, "de"), (BEN, "xx"), ("carl@example.com", "")
        rows = [
            Recipient(number, number + 1, address, address, "", {"email": address, "language": language})
            for number, (address, language) in enumerate(people, 1)
        ]
        enrol(ledger, rows, columns=("email", "language"))
        run = start(ledger)
        run.claim(NOW, 2)
        for address, copies in ((ANNA, ()), (BEN, (COPY,))):
            intent = Intent(address, NOW, (address, *copies), message_id(address), TOKENS[address])
            assert run.record((), (intent,)) == {address}
            run.record((result(address, copies=tuple(map(outcome, copies))),), ())
        run.end(NOW)
    return file


def ask(
    app: Application, method: str, path: str, body: bytes = b"", **environ: str
) -> tuple[int, Mapping[str, str], str]:
    """Ask as a WSGI server does."""
    said: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Any:
        said.update(status=int(status.split()[0]), headers=dict(headers))

    path, _, query = path.partition("?")
    pages = app(
        {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": BytesIO(body),
            **environ,
        },
        start_response,
    )
    return said["status"], said["headers"], b"".join(pages).decode()


def suppressed(file: Path) -> dict[str, str]:
    with closing(Ledger.open(file.with_name("ledger.db"), "spring", create=False, read_only=True)) as ledger:
        return {one.pattern: one.reason for one in ledger.suppressions}


def test_a_post_unsubscribes_the_rows_address_alone(file: Path) -> None:
    app = Application(file)
    code, headers, page = ask(app, "POST", f"/u/{TOKENS[BEN]}", ONE_CLICK)
    assert code == 200
    assert "Location" not in headers
    assert "b•••@example.com" in page
    assert suppressed(file) == {BEN: "unsubscribed: one-click"}


@pytest.mark.parametrize("behind", [".", ">", "),", "?x=1", '"', " ", "\n", "=", "*/", "\u00c2\u00bb"])
def test_what_a_mail_program_took_into_the_link_is_no_part_of_the_token(file: Path, behind: str) -> None:
    code, _, _ = ask(Application(file), "POST", f"/u/{TOKENS[ANNA]}{behind}", ONE_CLICK)
    assert (code, list(suppressed(file))) == (200, [ANNA])


def test_a_second_post_is_obeyed_after_an_undo(file: Path) -> None:
    app = Application(file)
    for _ in range(15):
        assert ask(app, "POST", f"/{TOKENS[ANNA]}", ONE_CLICK)[0] == 200
    with closing(Ledger.open(file.with_name("ledger.db"), "spring", create=False)) as ledger:
        assert ledger.suppressions.remove([ANNA]) == []
    assert suppressed(file) == {}
    assert ask(app, "POST", f"/{TOKENS[ANNA]}", ONE_CLICK)[0] == 200
    assert list(suppressed(file)) == [ANNA]


def test_a_get_shows_a_button_and_never_acts(file: Path) -> None:
    app = Application(file)
    for method in ("GET", "HEAD"):
        for path in (f"/u/{TOKENS[ANNA]}", f"/u/{TOKENS[ANNA]}/", f"/u?token={TOKENS[ANNA].upper()}"):
            code, headers, page = ask(app, method, path)
            assert code == 200
            assert int(headers["Content-Length"]) > 500
            assert ('<form method="post">' in page) == (method == "GET")
    assert suppressed(file) == {}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/u/",
        "/u/0123456789abcdef0124",
        "/u/0123456789abcdef0123x",
        "/u/0123456789",
        "/u/" + "0" * 20,
        "/u/x?token=" + "'" * 20,
    ],
)
def test_an_unknown_token_unsubscribes_nobody_and_says_so(
    file: Path, method: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = Application(file)
    code, _, page = ask(app, method, path, ONE_CLICK)
    assert code == 404
    assert TEXTS["en"]["unknown"] in page
    assert '<a href="mailto:leave@example.com">' in page
    assert app.unknown == 1
    assert "an unknown token (1 so far)" in caplog.text
    assert suppressed(file) == {}


@pytest.mark.parametrize(
    ("changes", "address"),
    [
        ({}, "news@example.com"),
        ({"reply_to": "Help <help@example.com>"}, "help@example.com"),
        ({"reply_to": "{{ email }}"}, "news@example.com"),
    ],
)
def test_where_mailto_has_a_token_there_is_another_address_to_write_to(
    tmp_path: Path, changes: dict[str, str], address: str
) -> None:
    own: dict[str, Any] = {"from": "News <news@example.com>", **changes}
    file = write_campaign(tmp_path, unsubscribe={"mailto": "leave+{{ bounce.token }}@example.com"}, **own)
    assert read_settings(file).mailto == address


def test_other_methods_are_refused(file: Path) -> None:
    code, headers, _ = ask(Application(file), "DELETE", f"/{TOKENS[ANNA]}")
    assert (code, headers["Allow"]) == (405, "GET, HEAD, POST")


def test_a_locked_ledger_is_503_and_nobody_is_told_otherwise(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BUSY_TIMEOUT", 0.2)
    app = Application(file)
    with closing(sqlite3.connect(file.with_name("ledger.db"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        code, headers, page = ask(app, "POST", f"/{TOKENS[ANNA]}", ONE_CLICK)
        assert (code, headers["Retry-After"]) == (503, "60")
        assert TEXTS["en"]["later"] in page
        assert ask(app, "GET", f"/{TOKENS[ANNA]}")[0] == 200  # who only reads does not wait
        other.execute("ROLLBACK")
    assert suppressed(file) == {}
    assert ask(app, "POST", f"/{TOKENS[ANNA]}", ONE_CLICK)[0] == 200


def test_a_ledger_that_is_gone_or_another_is_seen_at_once(file: Path) -> None:
    app, ledger = Application(file), file.with_name("ledger.db")
    assert ask(app, "GET", f"/{TOKENS[ANNA]}")[0] == 200
    moved = ledger.rename(ledger.with_name("moved.db"))
    for left in file.parent.glob("ledger.db-*"):
        left.unlink()  # of one who only read; everything is in the file
    assert ask(app, "POST", f"/{TOKENS[ANNA]}", ONE_CLICK)[0] == 503
    Ledger.open(ledger, "spring", file).close()
    assert ask(app, "POST", f"/{TOKENS[ANNA]}", ONE_CLICK)[0] == 404
    for other in file.parent.glob("ledger.db*"):
        other.unlink()
    moved.rename(ledger)
    assert ask(app, "POST", f"/{TOKENS[ANNA]}", ONE_CLICK)[0] == 200


def test_without_a_campaign_file_it_is_503(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAMPAIGN_FILE", raising=False)
    assert ask(Application(), "GET", "/x")[0] == 503
    monkeypatch.setenv("CAMPAIGN_FILE", str(tmp_path / "none.yaml"))
    assert ask(Application(), "GET", "/x")[0] == 503


def test_it_speaks_the_rows_language_or_the_browsers(file: Path) -> None:
    app = Application(file)
    _, _, page = ask(app, "GET", f"/{TOKENS[ANNA]}", HTTP_ACCEPT_LANGUAGE="fr")
    assert '<html lang="de">' in page
    assert "Möchten Sie an <bdi>a•••@example.com</bdi>" in page


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("tlh, fr-CH;q=0.9, en;q=0.8", "fr"),
        ("en;q=0.5, de;q=0.9", "de"),
        ("de;q=0, fr;q=0.1", "fr"),
        ("fr ; q=0.2,de; Q=0.30", "de"),
        ("es;q=much, de", "es"),
        ("*", "en"),
        ("", "en"),
    ],
)
def test_the_browsers_languages_have_weights(file: Path, accepted: str, language: str) -> None:
    _, _, page = ask(Application(file), "GET", f"/{TOKENS[BEN]}", HTTP_ACCEPT_LANGUAGE=accepted)
    assert f'<html lang="{language}">' in page


def test_its_words_can_be_replaced(file: Path) -> None:
    text = file.read_text().replace(
        "unsubscribe:\n",
        "unsubscribe:\n  texts: {de: {question: 'Keine <Post> an {address}?'}, sv: {button: Nej}}\n",
    )
    file.write_text(text)
    app = Application(file)
    _, _, page = ask(app, "GET", f"/{TOKENS[ANNA]}")
    assert "Keine &lt;Post&gt; an <bdi>a•••@example.com</bdi>?" in page
    assert TEXTS["de"]["button"] in page
    _, _, page = ask(app, "GET", f"/{TOKENS[BEN]}", HTTP_ACCEPT_LANGUAGE="sv")
    assert ">Nej</button>" in page


def test_every_language_has_every_text() -> None:
    for language, texts in TEXTS.items():
        assert texts.keys() == TEXTS["en"].keys(), language
        for name, text in texts.items():
            assert ("{address}" in text) == (name in ("question", "done")), (language, name)
            assert ("{mailto}" in text) == (name == "write"), (language, name)


def test_what_is_shown_is_escaped() -> None:
    page = Pages({}, '"><script>@example.com').failed("en", "unknown")
    assert "<script>" not in page
    assert masked('"<b>"@example.com') == '"•••@example.com'
    assert "<b>" not in Pages({}, "").done("en", "<b>@<i>.example")


@contextmanager
def served(file: Path) -> Iterator[int]:
    """Run `campaign unsubscribe-server`, and yield its port."""
    command = [sys.executable, "-m", "campaign", "unsubscribe-server", str(file), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        port = None
        while port is None:
            line = process.stdout.readline()
            assert line, process.wait()
            found = re.search(r"127\.0\.0\.1:([1-9][0-9]*)", line)
            port = int(found[1]) if found else None
        try:
            yield port
        finally:
            process.terminate()
            assert process.wait(10) == 0  # for systemd, another code is a failure


@pytest.fixture
def port(file: Path) -> Iterator[int]:
    with served(file) as port:
        yield port


@pytest.mark.parametrize("kind", ["form", "multipart", "nothing"])
def test_a_mailbox_providers_post_under_a_real_server(file: Path, port: int, kind: str) -> None:
    body, content_type = ONE_CLICK, "application/x-www-form-urlencoded"
    if kind == "multipart":
        content_type = "multipart/form-data; boundary=b"
        body = b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'
    elif kind == "nothing":
        body = b""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        headers = {"Content-Type": content_type, "User-Agent": "Google-Mail-Unsubscribe"}
        connection.request("POST", f"/u/{TOKENS[ANNA]}", body, headers)
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.getheader("Set-Cookie") is None
        assert "a•••@example.com" in answer.read().decode()
    assert list(suppressed(file)) == [ANNA]


def test_a_body_that_is_no_provider_s_is_not_kept(file: Path, port: int) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("POST", f"/u/{TOKENS[ANNA]}", b"x" * 200_000)
        assert connection.getresponse().status == 413
    assert suppressed(file) == {}


def test_slow_clients_keep_nobody_waiting(file: Path, port: int) -> None:
    """Each has begun a request that it never ends."""
    with ExitStack() as slow:
        for _ in range(300):
            client = slow.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            client.sendall(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n")
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            connection.request("POST", f"/u/{TOKENS[ANNA]}", ONE_CLICK)
            assert connection.getresponse().status == 200
    assert list(suppressed(file)) == [ANNA]


def test_it_writes_beside_a_send(file: Path, port: int) -> None:
    with closing(Ledger.open(file.with_name("ledger.db"), "spring", create=False)) as ledger:
        run = start(ledger, time.time_ns())
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
                connection.request("POST", f"/{TOKENS[ANNA]}", ONE_CLICK)
                assert connection.getresponse().status == 200
            assert run.is_suppressed(ANNA)
            run.heartbeat(time.time_ns())
        finally:
            run.end(time.time_ns())


def test_a_person_on_a_phone(file: Path, port: int, chromium: Path) -> None:
    with launched(chromium) as browser:
        _click(browser, file, port)


def _click(browser: Browser, file: Path, port: int) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 640}, java_script_enabled=False)
    page.goto(f"http://127.0.0.1:{port}/u/{TOKENS[ANNA]}")
    assert suppressed(file) == {}
    button = page.get_by_role("button", name="Abmelden")
    box = button.bounding_box()
    assert box is not None
    assert box["height"] >= 40
    assert box["x"] + box["width"] <= 360
    button.click()
    page.wait_for_load_state()
    assert "ist abgemeldet" in page.inner_text("main")
    assert page.context.cookies() == []
    page.close()
    assert list(suppressed(file)) == [ANNA]


@pytest.mark.parametrize("example", ["sample", "README"])
def test_the_page_serves_the_examples(example: str, tmp_path: Path) -> None:
    file = tmp_path / "campaign.yaml"
    if example == "sample":
        copy("newsletter", tmp_path, {})
    else:
        file.write_text(blocks(README, "yaml")[0])
    assert read_settings(file).name.startswith("spring-")
    assert "{{ bounce.token }}" in file.read_text()


def test_links_of_a_page_of_ones_own_are_refused_at_the_start(file: Path) -> None:
    file.write_text(file.read_text().replace("bounce.token", "unsubscribe.token"))
    done = subprocess.run(
        [sys.executable, "-m", "campaign", "unsubscribe-server", str(file)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "needs {{ bounce.token }}: write that" in done.stderr
    assert ask(Application(file), "POST", f"/{TOKENS[ANNA]}")[0] == 503


@pytest.mark.parametrize("listen", ["8099", ":8099", "localhost", "a b:1"])
def test_a_place_to_listen_at_has_a_host_and_a_port(file: Path, listen: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "campaign", "unsubscribe-server", str(file), "--listen", listen],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    port = "8099" if "8099" in listen else "8058"
    assert f"--listen needs HOST:PORT, and {listen!r} is not; write 127.0.0.1:{port}" in done.stderr
