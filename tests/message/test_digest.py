"""The digest changes with what recipients see, and with nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.message.rendering import Made


class TestDigest:
    @pytest.fixture
    def digest(self, made: Made, tmp_path: Path) -> Callable[..., str]:
        (tmp_path / "logo.png").write_bytes(b"logo")
        (tmp_path / "terms.pdf").write_bytes(b"terms")
        (tmp_path / "a.css").write_text("@import 'b.css';")
        (tmp_path / "b.css").write_text("p{color:red}")
        (tmp_path / "part.html").write_text("part")
        (tmp_path / "body.html").write_text(
            "<link rel=stylesheet href=a.css><img src=logo.png>{% include 'part.html' %}"
        )

        def digest(**values: object) -> str:
            given = {"templates": {"html": "body.html"}, "attachments": ["terms.pdf"], **values}
            return made(**given).digest

        return digest

    @pytest.mark.parametrize(
        "values",
        [
            {"smtp": {"host": "smtp.example.com", "connections": 3}},
            {"rate": "1/second"},
            {"retry": {"attempts": 2}},
            {"ledger": "other.db"},
            {"stop_when": {"refused": "50%"}},
            {"suppress": "off"},
        ],
    )
    def test_it_is_the_same_for_the_way(self, digest: Callable[..., str], values: dict[str, object]) -> None:
        assert digest(**values) == digest()

    @pytest.mark.parametrize(
        "values",
        [
            {"subject": "Other"},
            {"from": "Other <news@example.com>"},
            {"reply_to": "help@example.com"},
            {"cc": ["c@example.com"]},
            {"vars": {"a": {1: 2, "b": [3]}}},
            {"headers": {"X-A": "1"}},
            {"list_id": "a.example.com"},
            {"inline_css": False},
            {"attachments": []},
            {"attachments": [{"path": "terms.pdf", "name": "t.pdf"}]},
            {"unsubscribe": {"mailto": "out@example.com"}},
            {"templates": {"html": "body.html", "text": "body.txt"}},
            {"recipients": {"csv": "list.csv", "name": "{{ first }}"}},
        ],
        ids=lambda values: next(iter(values)),
    )
    def test_it_is_another_for_the_content(
        self, digest: Callable[..., str], tmp_path: Path, values: dict[str, object]
    ) -> None:
        (tmp_path / "list.csv").write_text("email,first\n")
        assert digest(**values) != digest()
        assert digest(**values) == digest(**values)

    @pytest.mark.parametrize("file", ["logo.png", "terms.pdf", "part.html", "body.html", "a.css", "b.css"])
    def test_it_is_another_for_a_file_s_content(
        self, digest: Callable[..., str], tmp_path: Path, file: str
    ) -> None:
        before = digest()
        with (tmp_path / file).open("a") as opened:
            opened.write("more")
        assert digest() != before
