"""Attachments of all messages and of one row, and paths that must not be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.delivery import Message
from tests.message.rendering import Made, read, refusal, rendered, row


class TestAttachments:
    @pytest.fixture(autouse=True)
    def _files(self, tmp_path: Path) -> None:
        (tmp_path / "files").mkdir()
        (tmp_path / "files" / "7.pdf").write_bytes(b"%PDF-7")
        (tmp_path / "terms.pdf").write_bytes(b"%PDF-terms")

    def files(self, message: Message) -> dict[str | None, bytes]:
        return {
            part.get_filename(): part.get_payload(decode=True) or b""  # type: ignore[misc]
            for part in read(message).iter_attachments()
        }

    def test_static_and_per_row_with_names(self, made: Made) -> None:
        renderer = made(
            attachments=[
                "terms.pdf",
                {"path": "files/{{ file }}.pdf", "name": "Größe {{ file }}/{{ first }}.pdf"},
            ]
        )
        assert self.files(rendered(renderer, row(file="7"))) == {
            "terms.pdf": b"%PDF-terms",
            "Größe 7_Ann.pdf": b"%PDF-7",
        }

    def test_a_blank_path_is_no_attachment(self, made: Made) -> None:
        renderer = made(attachments=["{% if file %}files/{{ file }}.pdf{% endif %}"])
        assert self.files(rendered(renderer, row(file="7"))) == {"7.pdf": b"%PDF-7"}
        assert self.files(rendered(renderer)) == {}

    @pytest.mark.parametrize(
        ("cell", "what"),
        [
            ("../../etc/passwd", "lies outside of attachments_root (.)"),
            ("/etc/passwd", "lies outside of attachments_root (.)"),
            ("list.csv", "is not for recipients: it is the list, the ledger, or a secret"),
            ("spring.yaml", "is not for recipients: it is the list, the ledger, or a secret"),
            ("link.pdf", "lies outside of attachments_root (.)"),
            ("no.pdf", "there is no file 'no.pdf'; look"),
            ("a\0b", "a path has a NUL character in it"),
            ("files/7.pdf\r\nBcc: x@x.test", "there is no file"),
            (".env", "is hidden"),
        ],
        ids=range(9),
    )
    def test_hostile_paths(self, made: Made, tmp_path: Path, cell: str, what: str) -> None:
        (tmp_path / "link.pdf").symlink_to("/etc/hostname")
        (tmp_path / ".env").write_text("SMTP_PASSWORD=x")
        (said,) = refusal(lambda: rendered(made(attachments=["{{ file }}"]), row(file=cell)))
        assert "attachments, entry 1: " in said
        assert what in said
        assert said.endswith("; look at the column file (row 3, line 4 of the list)")

    def test_a_hostile_name(self, made: Made) -> None:
        renderer = made(attachments=[{"path": "terms.pdf", "name": "{{ note }}"}])
        (said,) = refusal(lambda: rendered(renderer, row(note="a\r\nX-Evil: 1")))
        assert "attachments, entry 1: filename holds a line break" in said
        assert "look at the column note" in said
        assert self.files(rendered(renderer, row(note='../a "b".pdf'))) == {'.._a "b".pdf': b"%PDF-terms"}
