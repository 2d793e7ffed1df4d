"""A file that seems to be there: composed otherwise, in another case, or written as another system does."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.campaignfile.spelling import meant
from campaign.errors import UserError
from campaign.message.files import Folder
from tests.message.rendering import Made, refusal, rendered, row


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "spring" / "inv").mkdir(parents=True)
    return tmp_path / "spring"


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("written", ["NFC", "NFD"])
def test_a_name_is_found_however_it_is_composed(root: Path, on_disk: str, written: str) -> None:
    for name in ("Zoë.pdf", "Jürgen/Zoë.pdf"):
        path = root / unicodedata.normalize(on_disk, name)  # type: ignore[arg-type]
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
        assert Folder(root, ()).find(unicodedata.normalize(written, name)) == path  # type: ignore[arg-type]


def test_of_two_the_one_that_is_written(root: Path) -> None:
    for form in ("NFC", "NFD"):
        (root / unicodedata.normalize(form, "Zoë.pdf")).write_text(form)
    for form in ("NFC", "NFD"):
        found = Folder(root, ()).find(unicodedata.normalize(form, "Zoë.pdf"))  # type: ignore[arg-type]
        assert found.read_text() == form


def test_a_cell_and_a_static_attachment_find_it(made: Made, tmp_path: Path) -> None:
    (tmp_path / unicodedata.normalize("NFD", "Zoë.pdf")).write_bytes(b"%PDF")
    assert b"JVBERg==" in rendered(made(attachments=["{{ file }}"]), row(file="Zoë.pdf")).content
    assert b"JVBERg==" in rendered(made(attachments=["Zoë.pdf"])).content


@pytest.mark.parametrize(
    ("written", "near"),
    [
        ("Inv.pdf", "Inv.PDF"),
        ("INV.PDF", "Inv.PDF"),
        ("inv\\a.pdf", "inv/a.pdf"),
        ("Inv\\A.PDF", "inv/a.pdf"),
        ("file:///C:/letters/inv/a.pdf", "inv/a.pdf"),
        ("file:///C:/Gr%C3%B6%C3%9Fe.pdf", "Größe.pdf"),
        ("C:\\Users\\Ann\\Inv.PDF", "Inv.PDF"),
        ("/Users/ann/letters/Inv.PDF", "Inv.PDF"),
        ("größe.pdf", "Größe.pdf"),
    ],
)
def test_did_you_mean(root: Path, written: str, near: str) -> None:
    for name in ("Inv.PDF", "inv/a.pdf", unicodedata.normalize("NFD", "Größe.pdf")):
        (root / name).write_text(name)
    with pytest.raises(UserError) as caught:
        Folder(root, ()).find(written)
    assert unicodedata.normalize("NFC", str(caught.value)).endswith(f"; did you mean {near!r}?")


def test_static_ones_too(made: Made, tmp_path: Path) -> None:
    (tmp_path / "Inv.PDF").write_bytes(b"%PDF")
    (line,) = refusal(lambda: made(attachments=["inv.pdf"]))
    assert line.endswith("there is no file 'inv.pdf'; did you mean 'Inv.PDF'?")


def test_another_number_is_never_guessed(root: Path) -> None:
    (root / "inv" / "17.pdf").write_text("17")
    assert meant(root, "inv/18.pdf") == ""
    assert meant(root, "../inv/17.pdf") == ""
    assert meant(root, "inv") == ""


@given(st.text(max_size=30))
def test_any_path_gives_a_file_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, path: str) -> None:
    with pytest.raises(UserError):
        Folder(tmp_path_factory.getbasetemp() / "none", ()).find(path)
