"""The preview's page in a real browser: nothing in a message runs, calls home, or is illegible."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser

from campaign.cli import main
from tests.browser import launched, visit
from tests.preview.letters import LETTER, campaign, cell

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</iframe><script>alert(2)</script>",
    "\"'><svg onload=alert(3)>",
    "{{ 7 * 7 }} {% raw %}",
    "\u202egpj.exe <b>bold</b>",
]

PAGE = """<!DOCTYPE html><html><head><link rel="preconnect" href="REMOTE">
<link rel="stylesheet" href="REMOTE/a.css"><meta http-equiv="refresh" content="1;url=REMOTE/refresh">
<style>@import url(REMOTE/b.css); p { background: url(REMOTE/c.png) } body { background: #fff }
@media (prefers-color-scheme: dark) { body { background: #010203 } }</style></head>
<body><p id="name">Hello {{ name }}</p>
<img src="REMOTE/open.gif" alt="pixel"><img src="dot.png" alt="dot">
<script>alert(9); fetch("REMOTE/fetch")</script><iframe src="REMOTE/frame"></iframe>
<object data="REMOTE/o"></object><video src="REMOTE/v.mp4" autoplay></video>
<form action="REMOTE/form"><button>go</button></form><a id="link" href="REMOTE/click">A link</a>
</body></html>"""
_DOT = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x89\x99=\x1d\x00\x00\x00\x00IEND\xaeB`\x82"
)


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Browser]:
    with launched(chromium) as running:
        yield running


class Remote(ThreadingHTTPServer):
    """A server on loopback that counts what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), _Answer)

    def get_request(self) -> tuple[socket.socket, Any]:
        request = super().get_request()
        self.asked.append("connection")
        return request


class _Answer(BaseHTTPRequestHandler):
    server: Remote

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture(scope="module")
def remote() -> Iterator[Remote]:
    with Remote() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory, remote: Remote) -> Path:
    """A page of messages with hostile cells, in a template that asks the network for everything."""
    folder = tmp_path_factory.mktemp("hostile")
    rows = [f"p{n}@example.com,{cell(text)},{cell(text)}" for n, text in enumerate(HOSTILE)]
    rows += [f"{'x' * 60}@{'y' * 60}.example.com,{'W' * 300},{'long ' * 80}"]
    html = PAGE.replace("REMOTE", f"http://127.0.0.1:{remote.server_port}")
    more = ("recipients: {csv: list.csv, name: '{{ name }}'}", "inline_css: false")
    file = campaign(folder, rows, *more, html=html)
    file.write_text(file.read_text().replace("'For {{ recipient.email }}'", "'{{ plan }}'"))
    (folder / "dot.png").write_bytes(_DOT)
    page = folder / "page.html"
    assert main(["preview", str(file), "--html", str(page), "--pick", "20"]) == 0
    return page


@pytest.fixture(scope="module")
def letter_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = tmp_path_factory.mktemp("letter") / "page.html"
    assert main(["preview", str(LETTER), "--html", str(page)]) == 0
    return page


def test_nothing_hostile_runs_or_calls_home(browser: Browser, hostile_page: Path, remote: Remote) -> None:
    alone = hostile_page.with_name("alone.html")
    alone.write_text((hostile_page.with_name("body.html.j2")).read_text())
    page = browser.new_page()
    page.goto(alone.as_uri())
    assert {"/a.css", "/b.css", "/open.gif", "/frame", "/fetch"} <= set(remote.asked)
    page.close()
    page = browser.new_page()  # connections that it still makes end before the count begins
    page.wait_for_timeout(1000)
    page.close()
    remote.asked.clear()
    with visit(browser, hostile_page) as seen:
        page = seen.page
        assert page.locator("nav input").count() == len(HOSTILE) + 1
        for number, text in enumerate(HOSTILE, 1):
            page.locator(f"#m{number}").check(force=True)
            for view in ("text", "headers", "source", "html"):
                page.locator(f"#view-{view}").check(force=True)
            frame = page.frame_locator(f".m{number} iframe")
            assert frame.locator("#name").inner_text() == f"Hello {text}"
            assert page.locator(f".m{number} h2").inner_text() == text.replace("\u202e", r"\u202e")
            dot = frame.locator("img[alt=dot]")
            assert dot.evaluate("image => image.naturalWidth") == 1
            frame.locator("#link").click(force=True)
        assert page.locator("script").count() == 0
        assert "1" in page.locator(".m1 summary").first.inner_text()
        assert page.locator(".m1 iframe").get_attribute("sandbox") == ""
        page.wait_for_timeout(500)
    assert remote.asked == []


def test_switches(browser: Browser, hostile_page: Path) -> None:
    with visit(browser, hostile_page, scheme="null") as seen:
        page = seen.page
        body = page.frame_locator(".m1 iframe").locator("body")
        colour = "element => getComputedStyle(element).backgroundColor"
        assert page.locator(".m1").is_visible()
        assert not page.locator(".m2").is_visible()
        page.locator("#colours-light").check(force=True)
        assert body.evaluate(colour) == "rgb(255, 255, 255)"
        light = seen.background()
        page.locator("#colours-dark").check(force=True)
        page.wait_for_timeout(200)
        assert body.evaluate(colour) == "rgb(1, 2, 3)"
        assert seen.background() != light
        page.locator("#width-phone").check(force=True)
        assert page.locator(".m1 .frame").evaluate("frame => frame.offsetWidth") == 375
        page.locator("#width-desktop").check(force=True)
        assert page.locator(".m1 .frame").evaluate("frame => frame.offsetWidth") >= 760
        page.locator("#m2").check(force=True)
        page.locator("#view-text").check(force=True)
        assert page.locator(".m2 .text").is_visible()
        assert not page.locator(".m2 .html").is_visible()
        assert not page.locator(".m1").is_visible()


def test_switches_take_the_keyboard(browser: Browser, letter_page: Path) -> None:
    with visit(browser, letter_page) as seen:
        seen.page.keyboard.press("Tab")
        seen.page.keyboard.press("ArrowDown")
        assert seen.page.locator(".m2").is_visible()
        for label in seen.page.locator("fieldset").all():
            assert label.locator("legend").inner_text()


@pytest.mark.parametrize("view", ["html", "text", "headers", "source"])
def test_a_phone_shows_all_of_it(browser: Browser, hostile_page: Path, view: str) -> None:
    with visit(browser, hostile_page, width=360) as seen:
        seen.page.locator(f"#view-{view}").check(force=True)
        for number in range(1, len(HOSTILE) + 2):
            seen.page.locator(f"#m{number}").check(force=True)
            assert not seen.is_too_wide()


def test_light_and_dark_are_legible(browser: Browser, letter_page: Path) -> None:
    grounds = set()
    for scheme in ("light", "dark"):
        with visit(browser, letter_page, scheme="light" if scheme == "light" else "dark") as seen:
            grounds.add(seen.background())
            for view in ("html", "headers"):
                seen.page.locator(f"#view-{view}").check(force=True)
                faint = [(text, ratio) for text, ratio in seen.contrasts() if ratio < 4.5]
                assert not faint
    assert len(grounds) == 2


def test_the_page_needs_nothing_else(letter_page: Path) -> None:
    text = letter_page.read_text(encoding="utf-8")
    before_body = text.partition("<body>")[0]
    assert "default-src 'none'" in before_body
    assert not re.search(r"<script|<link|@import|url\(", before_body)
    # Quotes are escaped where text is shown: what has a plain one is ours.
    assert not re.search(r'\b(?:src|href|action|poster|background)="', text)
    assert letter_page.stat().st_size < 2_000_000


def test_the_inbox_line_the_problems_and_the_boxes(browser: Browser, tmp_path: Path) -> None:
    html = (
        "<div style='display:none'>Spring begins</div>"
        "<p>Dear {{ name }}, {% if plan == 'pro' %}{{ '{{' }} name }}{% endif %}</p>"
        "<img src='https://cdn.example.org/a.png' width='300' height='100' alt='A sale'>"
    )
    file = campaign(tmp_path, ["ann@example.com,Ann,pro", "ben@example.com,Ben,free"], html=html)
    page = tmp_path / "page"
    assert main(["preview", str(file), "--html", str(page)]) == 0
    assert not page.exists()
    with visit(browser, page.with_suffix(".html")) as seen:
        line = seen.page.locator(".m1 .inbox").inner_text()
        assert line.split("\n") == [
            "news@example.com",
            "For ann@example.com",
            "Spring begins Dear Ann, {{ name }}",
        ]
        image = seen.page.frame_locator(".m1 iframe").locator("img")
        sizes = image.evaluate("image => [image.clientWidth, image.clientHeight, image.naturalWidth]")
        assert sizes == [300, 100, 300]
        assert image.evaluate("image => decodeURIComponent(image.src)").count("A sale") == 1
        assert "shows {{ or {% to the reader" in seen.page.locator(".m1 .problems").inner_text()
        seen.page.locator("#m2").check(force=True)
        assert "shows {{ or" not in "".join(seen.page.locator(".m2 .problems").all_inner_texts())


def test_images_are_loaded_where_it_is_asked(browser: Browser, tmp_path: Path, remote: Remote) -> None:
    html = f"<p>{{{{ name }}}}</p><img src='http://127.0.0.1:{remote.server_port}/pic.png' alt='A'>"
    file = campaign(tmp_path, ["ann@example.com,Ann,pro"], html=html)
    page = tmp_path / "page.html"
    assert main(["preview", str(file), "--html", str(page), "--load-images"]) == 0
    remote.asked.clear()
    looked_at = browser.new_page()
    looked_at.goto(page.as_uri())
    for _ in range(100):
        if "/pic.png" in remote.asked:
            break
        looked_at.wait_for_timeout(100)
    looked_at.close()
    assert "/pic.png" in remote.asked


def test_a_phone_has_the_switches_in_one_row(browser: Browser, letter_page: Path) -> None:
    with visit(browser, letter_page, width=375) as seen:
        boxes = [one.bounding_box() for one in seen.page.locator(".switches label:visible").all()]
        assert len({round(box["y"]) for box in boxes if box}) == 1
        assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= 375 for box in boxes)
        assert not seen.is_too_wide()
