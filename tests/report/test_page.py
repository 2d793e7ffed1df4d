"""`campaign report`: the page says what the ledger knows, to anybody, on anything, and runs nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from campaign.cli import main
from campaign.delivery import Outcome, Result, Verdict
from campaign.ledger import Ledger, Scope
from campaign.ledger.protocols import Intent
from campaign.model import BadRow, Recipient, Status
from campaign.report.curve import Tick, curve
from campaign.report.page import page
from tests.browser import launched, visit

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
START = 1_788_000_000 * SECOND
Answer = tuple[Status, str]
HOSTILE = "550 5.1.1 </code><script>alert(1)</script><img src=x onerror=alert(2)> \u202e\x1b[2J '\""


def campaign(folder: Path, name: str = "letter") -> Path:
    (folder / "list.csv").write_text("email\na@example.com\n")
    (folder / "body.j2").write_text("Hello")
    file = folder / "campaign.yaml"
    quoted = name.replace("'", "''")
    file.write_text(
        f"name: '{quoted}'\nrecipients: list.csv\nfrom: news@example.com\nsubject: Hello\n"
        "templates: {text: body.j2}\nsmtp: {host: smtp.example.com}\n"
    )
    return file


def send(
    ledger: Ledger,
    addresses: Sequence[str],
    answer: Callable[[int], Answer | None],
    every: int = SECOND,
) -> None:
    """Send to people as the sender does, one each `every` ns; None leaves the rest of the list unsent."""
    rows: list[Recipient | BadRow] = [
        Recipient(number, number + 1, address, address, "", {"email": address})
        for number, address in enumerate(addresses, 1)
    ]
    ledger.register()
    enrolment = ledger.enrolment()
    enrolment.stage(("email",), rows)
    enrolment.apply(START)
    sending = ledger.start(Scope("smtp.example.com", ""), START)
    now = START
    while claims := sending.claim(now, 64):
        for claim in claims:
            key = claim.recipient.key
            answered = answer(claim.recipient.number)
            if answered is None:
                sending.end(now)
                return
            status, reply = answered
            assert sending.record([], [Intent(key, now, (claim.recipient.email,), "<1@example.com>")])
            now += every
            outcome = Outcome(claim.recipient.email, status, reply, True, now + 24 * HOUR)
            sending.record([Result(key, Verdict.UNSENT, (outcome,), now)], [])
    sending.end(now)


def mixed(number: int) -> Answer | None:
    if number > 290:
        return None
    if number % 10 == 0:
        return Status.REFUSED, f"550 5.1.1 <p{number}@example.com>: no such user {number}ab{number}cd"
    if number % 25 == 1:
        return Status.DEFERRED, HOSTILE.replace("550 5.1.1", "450 4.7.1")
    if number == 77:
        return Status.IN_DOUBT, "the connection was lost"
    return Status.ACCEPTED, "250 2.0.0 Ok"


def addresses(count: int) -> list[str]:
    hosts = ["example.com", "example.org", "xn--kpuq01d.example", f"{'long-' * 10}name.example"]
    return [f"p{number}@{hosts[min(number % 7, 3)]}" for number in range(1, count + 1)]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a campaign with everything in it, by the command."""
    folder = tmp_path_factory.mktemp("report")
    name = "spring <script>alert(3)</script> & 'more'"
    file = campaign(folder, name)
    ledger = Ledger.open(folder / "ledger.db", name, file)
    send(ledger, addresses(300), mixed)
    ledger.close()
    assert main(["report", str(file)]) == 0
    return folder / "spring--script-alert-3---script-----more--report.html"


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Browser]:
    with launched(chromium) as running:
        yield running


def test_it_says_what_the_ledger_knows(browser: Browser, written: Path) -> None:
    counts = {"accepted": 248, "refused": 29, "in doubt": 1, "deferred": 12, "pending": 10}
    with visit(browser, written) as seen:
        page = seen.page
        assert page.locator("h1").inner_text() == "spring <script>alert(3)</script> & 'more'"
        assert page.locator(".headline").inner_text().split() == ["248", "of", "300", "were", "accepted"]
        rows = page.locator("section[aria-labelledby=counts] tbody tr").all()
        said = {row.locator(".status").inner_text(): row.locator("td").first.inner_text() for row in rows}
        assert said == {words: str(count) for words, count in counts.items()}
        assert "82.7 %" in rows[0].inner_text()
        assert "the server accepted it" in rows[0].inner_text()
        domains = page.locator("section[aria-labelledby=domains] tbody tr").all_inner_texts()
        assert len(domains) == 4
        assert domains[0].startswith(f"{'long-' * 10}name.example")
        assert any(text.startswith("手紙.example") for text in domains)
        assert sum(int(re.findall(r"\d+", text)[-1]) for text in domains) == 300
        replies = page.locator("section[aria-labelledby=replies] tbody tr").all_inner_texts()
        assert [text.split()[-1] for text in replies] == ["29", "12", "1"]
        assert "550 5.1.1 <…>: no such user …" in replies[0]
        assert "no such mailbox" in replies[0]
        assert "<img src=x onerror=alert(2)>" in replies[1]
        commands = page.locator(".steps code").all_inner_texts()
        assert [command.split()[1] for command in commands] == ["send", "resolve", "export"]


def test_nothing_hostile_runs(browser: Browser, written: Path) -> None:
    with visit(browser, written) as seen:
        assert seen.page.locator("script").count() == 0
        assert seen.page.locator("img").count() == 0
    before_body = written.read_text(encoding="utf-8").partition("<body>")[0]
    assert "default-src 'none'" in before_body
    assert "url(" not in before_body


def test_it_can_be_read_on_a_phone_in_the_dark_and_on_paper(browser: Browser, written: Path) -> None:
    grounds = {}
    for scheme in ("light", "dark"):
        for width in (360, 1280):
            with visit(browser, written, width, "light" if scheme == "light" else "dark") as seen:
                assert not seen.is_too_wide()
                assert [(text, ratio) for text, ratio in seen.contrasts() if ratio < 4.5] == []
                grounds[scheme] = seen.background()
                seen.page.emulate_media(media="print")
                assert seen.background() == "rgb(255, 255, 255)"
                assert [(text, ratio) for text, ratio in seen.contrasts() if ratio < 4.5] == []
    assert grounds["light"] != grounds["dark"]


@pytest.mark.parametrize("minutes", [7, 11, 23, 37, 47, 53, 59, 71, 97, 119, 131])
def test_labels_of_time_do_not_overlap_on_a_phone(browser: Browser, tmp_path: Path, minutes: int) -> None:
    file = campaign(tmp_path)
    with closing(Ledger.open(tmp_path / "ledger.db", "letter", file)) as ledger:
        send(ledger, addresses(60 * minutes // 10), lambda _: (Status.ACCEPTED, "250 Ok"), every=10 * SECOND)
    assert main(["report", str(file), "-o", str(tmp_path / "report.html")]) == 0
    for width in (375, 1280):
        with visit(browser, tmp_path / "report.html", width) as seen:
            labels = seen.page.locator(".across span:visible")
            boxes = [box for box in (one.bounding_box() for one in labels.all()) if box]
            assert len(boxes) >= 2
            assert all(a["x"] + a["width"] <= b["x"] for a, b in pairwise(boxes)), boxes


def test_a_screen_reader_finds_its_way(browser: Browser, written: Path) -> None:
    with visit(browser, written) as seen:
        page = seen.page
        assert page.locator("h1").count() == page.locator("main").count() == 1
        for section in page.locator("main section").all():
            heading = section.locator("h2")
            assert heading.get_attribute("id") == section.get_attribute("aria-labelledby")
        for table in page.locator("table").all():
            assert table.locator("caption").inner_text()
            assert table.locator("thead th[scope=col]").count() == 3
        curve = page.get_by_role("img", name="Messages accepted over time")
        assert curve.bounding_box()
        assert "From 0 to 248 messages" in str(curve.locator("desc").text_content())
        assert page.locator("html[lang=en]").count() == 1


def words(ledger: Ledger) -> str:
    """Return the page as text, roughly."""
    now = START + HOUR
    text = page("letter", "my campaign.yaml", ledger, ledger.history.summary(now), now)
    return " ".join(re.sub("<[^>]*>", " ", text.partition("<body>")[2]).split())


@pytest.fixture
def make_ledger() -> Iterator[Callable[[], Ledger]]:
    """Make temporary ledgers; all are closed at the test's end."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(closing(Ledger.temporary("letter")))


def test_its_first_sentence(make_ledger: Callable[[], Ledger]) -> None:
    ledger = make_ledger()
    send(ledger, addresses(2), lambda _: (Status.ACCEPTED, "250 Ok"))
    assert "Finished. 2 of 2 were accepted" in words(ledger)
    assert "Nothing. Everybody on the list" in words(ledger)
    assert "What was said" not in words(ledger)

    ledger = make_ledger()
    send(ledger, addresses(1), lambda _: (Status.REFUSED, "550 no"))
    assert "Finished. The server would not take some of them. 0 of 1 was accepted" in words(ledger)
    assert "1 row is refused." in words(ledger)
    assert "campaign export &#39;my campaign.yaml&#39; --status refused" in words(ledger)
    assert "Accepted over time" not in words(ledger)

    ledger = make_ledger()
    send(ledger, addresses(3), lambda n: None if n > 1 else (Status.IN_DOUBT, "lost"))
    assert "Not finished: some are waiting to be sent." in words(ledger)
    sending = ledger.start(Scope("smtp.example.com", ""), time.time_ns())
    assert re.search(r"Process \d+ on \S+ is sending it now\.", words(ledger))
    assert "campaign status &#39;my campaign.yaml&#39; --watch" in words(ledger)
    sending.end(time.time_ns())


def test_what_is_not_all_does_not_look_so(make_ledger: Callable[[], Ledger]) -> None:
    ledger = make_ledger()
    send(ledger, addresses(3000), lambda n: (Status.REFUSED if n == 9 else Status.ACCEPTED, "250"))
    assert "99.9 %" in words(ledger)
    assert "< 0.1 %" in words(ledger).replace("&lt;", "<")


def test_bad_rows_are_named(make_ledger: Callable[[], Ledger]) -> None:
    ledger = make_ledger()
    enrolment = ledger.enrolment()
    enrolment.stage(("email",), [BadRow(1, 2, "", ())])
    list(enrolment.drop_duplicates())
    enrolment.apply(START)
    said = words(ledger)
    assert "1 row is skipped" in said
    assert "campaign check" in said


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Set the time zone, UTC to begin with."""

    def zone(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    zone("UTC")
    yield zone
    monkeypatch.undo()
    time.tzset()


def at(text: str) -> int:
    return int(time.mktime(time.strptime(text, "%Y-%m-%d %H:%M"))) * SECOND


@pytest.mark.usefixtures("utc")
def test_the_curve_of_an_hour() -> None:
    first = at("2026-05-01 09:50")
    found = curve([(first, 1), (first + HOUR // 2, 3), (first + HOUR, 4)], first)
    assert found is not None
    assert found.line == "M0 1000H0.0V750.0H500.0V250.0H1000.0V0.0"
    assert found.area == found.line + "L1000.0 0.0V1000Z"
    assert [tick.label for tick in found.across] == ["10:00", "10:15", "10:30", "10:45"]
    assert found.across[0].at == pytest.approx(100 / 6)
    assert found.up == tuple(Tick(25 * count, str(count)) for count in range(5))


@pytest.mark.usefixtures("utc")
def test_many_points_make_a_line_without_steps() -> None:
    first = at("2026-05-01 09:50")
    found = curve([(first + HOUR, 500), (first + 2 * HOUR, 1_000_000)], first)
    assert found is not None
    assert found.line == "M0 1000L500.0 999.5L1000.0 0.0"
    assert [tick.label for tick in found.up] == ["0", "500,000", "1,000,000"]


@pytest.mark.parametrize(("begin", "took"), [(0.3, 0.4), (0.3, 0.9), (0, 30), (29, 45)])
def test_however_short_it_was_its_times_are_named(begin: float, took: float) -> None:
    first = int((1_770_000_000 + begin) * SECOND)
    found = curve([(first, 1), (first + int(took * SECOND), 4)], first)
    assert found is not None
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d(\.\d\d)?", tick.label) for tick in found.across)
    assert len(found.across) > 0


def test_no_course_of_time_no_curve() -> None:
    assert curve([], 0) is None
    assert curve([(5, 1)], 5) is None
    assert curve([(5, 9)], 5) is None


@pytest.mark.parametrize(
    ("span", "labels"),
    [
        (3 * SECOND, ["22:30:00", "22:30:01", "22:30:02", "22:30:03"]),
        (4 * HOUR, ["23:00", "2 May", "01:00", "02:00"]),
        (30 * HOUR, ["2 May", "12:00", "3 May"]),
        (6 * 24 * HOUR, ["2 May", "4 May", "6 May"]),
        (300 * 24 * HOUR, ["2 May", "30 Aug", "28 Dec"]),
    ],
)
def test_times_are_round_in_the_persons_zone(
    utc: Callable[[str], None], span: int, labels: list[str]
) -> None:
    utc("Europe/Berlin")
    first = at("2026-05-01 22:30")
    found = curve([(first + span, 5)], first)
    assert found is not None
    assert [tick.label for tick in found.across] == labels
    assert all(0 <= tick.at <= 100 for tick in found.across)
