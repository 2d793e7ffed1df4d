"""Attachments and images come from one folder, whatever a cell of the list says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from campaign.errors import UserError
from campaign.message.files import Folder


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "outside.pdf").write_text("outside")
    root = tmp_path / "spring"
    (root / "files").mkdir(parents=True)
    for name in ("a.pdf", "files/b c.pdf", "list.csv", "ledger.db", "ledger.db-wal", ".env"):
        (root / name).write_text(name)
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("secret")
    monkeypatch.chdir(tmp_path)
    return root


def folder(root: Path) -> Folder:
    return Folder(root, (root / "list.csv", root / "ledger.db"))


@pytest.mark.parametrize(
    "path", ["a.pdf", "./a.pdf", "files/b c.pdf", "files/../a.pdf", "../spring/a.pdf", "files//b c.pdf"]
)
def test_what_lies_inside_is_read(root: Path, path: str) -> None:
    found = folder(root).find(path)
    assert folder(root).read(found) == found.relative_to(root).as_posix().encode()


def test_a_whole_path_that_leads_inside(root: Path) -> None:
    assert folder(root).find(str(root / "a.pdf")) == root / "a.pdf"


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("../outside.pdf", "'../outside.pdf' lies outside of attachments_root (spring)"),
        ("files/../../outside.pdf", "lies outside of attachments_root"),
        ("/etc/passwd", "'/etc/passwd' lies outside of attachments_root (spring)"),
        ("../spring-2/a.pdf", "lies outside of attachments_root"),
        ("no.pdf", "there is no file 'no.pdf' in spring"),
        ("files", "'files' is a folder; a file is expected"),
        ("", "there is no file '' in spring"),
        ("a.pdf/b", "there is no file 'a.pdf/b' in spring"),
        ("~/a.pdf", "there is no file '~/a.pdf' in spring"),
        ("a\0.pdf", "a path has a NUL character in it"),
        ("x" * 300, "cannot be read: File name too long"),
        ("list.csv", "'list.csv' is not for recipients: it is the list, the ledger, or a secret"),
        ("files/../list.csv", "is not for recipients"),
        ("ledger.db", "is not for recipients"),
        ("ledger.db-wal", "is not for recipients"),
        (".env", "'.env' is hidden, and not for recipients"),
        (".git/config", "'.git/config' is hidden, and not for recipients"),
    ],
    ids=range(17),
)
def test_nothing_else_is(root: Path, path: str, what: str) -> None:
    with pytest.raises(UserError) as caught:
        folder(root).find(path)
    assert what in str(caught.value)


@pytest.mark.parametrize("target", ["../outside.pdf", "/etc/passwd", "list.csv", ".env", "ledger.db-wal"])
def test_a_link_is_judged_by_where_it_leads(root: Path, target: str) -> None:
    (root / "link.pdf").symlink_to(target)
    with pytest.raises(UserError, match=r"outside of attachments_root|not for recipients"):
        folder(root).find("link.pdf")


def test_a_link_to_a_file_inside(root: Path) -> None:
    (root / "link.pdf").symlink_to("files/b c.pdf")
    assert folder(root).find("link.pdf") == root / "files" / "b c.pdf"


def test_a_linked_folder_leads_out(root: Path, tmp_path: Path) -> None:
    (root / "up").symlink_to(tmp_path)
    with pytest.raises(UserError, match="outside of attachments_root"):
        folder(root).find("up/outside.pdf")


def test_the_same_name_is_not_proposed(root: Path) -> None:
    (root / "out.pdf").symlink_to("/etc/hostname")
    with pytest.raises(UserError) as refused:
        folder(root).find("out.pdf")
    assert "did you mean" not in str(refused.value)


def test_links_in_a_circle(root: Path) -> None:
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    with pytest.raises(UserError, match=r"'one' cannot be read|there is no file 'one'"):
        folder(root).find("one")


def test_the_root_itself_may_be_hidden_and_linked(root: Path, tmp_path: Path) -> None:
    hidden = tmp_path / ".hidden"
    root.rename(hidden)
    (tmp_path / "spring").symlink_to(hidden)
    assert Folder(tmp_path / "spring", ()).find("a.pdf") == hidden / "a.pdf"


def test_a_file_that_may_not_be_read(root: Path) -> None:
    (root / "fifo").mkdir()
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        folder(root).read(root / "fifo")


def test_a_pipe_is_no_file(root: Path) -> None:
    os.mkfifo(root / "pipe")
    with pytest.raises(UserError, match="'pipe' is a pipe or a device, not a file"):
        folder(root).find("pipe")


def test_an_empty_file_is_none_to_send(root: Path) -> None:
    (root / "a.pdf").write_bytes(b"")
    with pytest.raises(UserError, match=r"spring/a\.pdf is empty: it has no octets"):
        folder(root).read(root / "a.pdf")
