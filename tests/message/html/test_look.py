"""Templates of others, and some in their manner, look the same in a browser before and after inlining.

Those of others are in npm packages; `.ci/run` unpacks them, and CAMPAIGN_TEMPLATES names the folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from campaign.message.html import mjml
from campaign.message.html.inliner import Inliner
from campaign.message.html.sheets import Sheets
from tests.browser import launched
from tests.need import templates

OWN = Path(__file__).with_name("documents")
WIDTHS = (800, 375)
DIFFER: dict[str, str] = {}
"""Templates that look different, and the rule that is responsible; at most 2 of 40."""

_FRONT_MATTER = re.compile(r"\A---.*?---\n", re.DOTALL)
_PROGRAM = re.compile(r"<%.*?%>", re.DOTALL)


def own() -> Iterator[tuple[str, str]]:
    for file in sorted(OWN.glob("*.html")):
        yield file.stem, file.read_text("utf-8")
    for file in sorted(OWN.glob("*.mjml")):
        yield file.stem, mjml.to_html(file.name, lambda name: ((OWN / name).read_text("utf-8"), name)).html


def foundation(folder: Path) -> Iterator[tuple[str, str]]:
    """Bodies, in the frame that Foundation for Emails has for them, with its sheet linked."""
    frame = (folder / "test/visual/_template.html").read_text("utf-8")
    frame = frame.replace("../assets/css/", "foundation-emails/dist/")
    for file in sorted([*folder.glob("templates/*.html"), *folder.glob("test/visual/pages/*.html")]):
        body = _FRONT_MATTER.sub("", file.read_text("utf-8"))
        yield f"foundation-{file.stem}", frame.replace("<%= contents %>", body)


def others(folder: Path) -> Iterator[tuple[str, str]]:
    yield from foundation(folder / "foundation-emails")
    for pattern in ("bootstrap-email/examples/output/*.html", "mosaico/templates/*/template-*.html"):
        for file in sorted(folder.glob(pattern)):
            yield f"{file.relative_to(folder).parts[0]}-{file.stem}", file.read_text("utf-8")
    for file in sorted(folder.glob("mailgen/themes/*/index.html")):
        yield f"mailgen-{file.parent.name}", _PROGRAM.sub("", file.read_text("utf-8"))


class Screen:
    """A page without a network, and documents that lie in a folder."""

    def __init__(self, page: Page, folder: Path) -> None:
        self._page = page
        self._folder = folder
        page.route(re.compile("^https?:"), lambda route: route.abort())

    def pictures(self, html: str) -> list[bytes]:
        file = self._folder / "document.html"
        file.write_text(html, "utf-8")
        self._page.goto(file.as_uri())
        taken = []
        for width in WIDTHS:
            self._page.set_viewport_size({"width": width, "height": 600})
            taken.append(self._page.screenshot(full_page=True))
        return taken

    def look_alike(self, before: str, after: str) -> bool:
        """Whether both give the same pictures; once more, as an image may be late."""
        return any(self.pictures(before) == self.pictures(after) for _ in range(3))


def differing(chromium: Path, folder: Path, documents: list[tuple[str, str]], sheets: Path) -> list[str]:
    inliner = Inliner(Sheets(lambda name: (sheets / name).read_text("utf-8"), [""]))
    with launched(chromium) as browser:
        screen = Screen(browser.new_page(), folder)
        return [name for name, html in documents if not screen.look_alike(html, inliner.inline(html))]


def test_our_own(chromium: Path, tmp_path: Path) -> None:
    pytest.importorskip("mrml")
    documents = list(own())
    assert len(documents) == 7
    assert differing(chromium, tmp_path, documents, OWN) == []


def test_those_of_others(chromium: Path, tmp_path: Path) -> None:
    packages = templates()
    (tmp_path / "foundation-emails").symlink_to(packages / "foundation-emails")
    documents = list(others(packages))
    assert len(documents) >= 60
    assert differing(chromium, tmp_path, documents, packages) == list(DIFFER)


def test_a_difference_is_seen(chromium: Path, tmp_path: Path) -> None:
    with launched(chromium) as browser:
        screen = Screen(browser.new_page(), tmp_path)
        assert screen.look_alike("<p>a", "<p style='color:#000'>a")
        assert not screen.look_alike("<p>a", "<p style='color:#001'>a")
