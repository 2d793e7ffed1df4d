"""Pages of ours in a real browser: what they ask the network for, how wide they are, how legible."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Dialog, Page, Request, sync_playwright

Scheme = Literal["light", "dark", "null"]

_TEXTS = """() => {
  const channels = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    const [x, y, z] = [r, g, b].map((v) => linear(v / 255));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const texts = [];
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data).join("").trim();
    if (!own || !element.checkVisibility()) continue;
    const [one, other] = [light(channels(getComputedStyle(element).color)), light(ground(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    texts.push([own.slice(0, 40), ratio]);
  }
  return texts;
}"""


@contextmanager
def launched(chromium: Path) -> Iterator[Browser]:
    """Run a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A page that is looked at, and what it did: requests, dialogs. `stopped` are by its own policy."""

    def __init__(self, page: Page, file: Path) -> None:
        self.page = page
        self.requests: list[str] = []
        self.stopped: list[str] = []
        self.dialogs: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("requestfailed", self._failed)
        page.on("dialog", self._dialog)
        page.goto(file.as_uri())
        page.wait_for_timeout(100)

    def _failed(self, request: Request) -> None:
        # The browser tells of a request before its policy stops it.
        if request.failure == "csp":
            self.requests.remove(request.url)
            self.stopped.append(request.url)

    def _dialog(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def contrasts(self) -> list[tuple[str, float]]:
        """Return each visible text and how it contrasts with what is behind it (WCAG 2.2)."""
        found: list[tuple[str, float]] = self.page.evaluate(_TEXTS)
        return found

    def is_too_wide(self) -> bool:
        """Whether the page scrolls sideways."""
        wide: bool = self.page.evaluate("() => document.documentElement.scrollWidth > innerWidth")
        return wide

    def background(self) -> str:
        """Return the colour of the page."""
        colour: str = self.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        return colour


@contextmanager
def visit(browser: Browser, file: Path, width: int = 1280, scheme: Scheme = "light") -> Iterator[Visit]:
    """Open a page in a window of this width."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    seen = Visit(page, file)
    yield seen
    assert seen.requests == [file.as_uri()], seen.requests
    assert seen.dialogs == []
    assert len(page.context.pages) == 1
    page.close()
