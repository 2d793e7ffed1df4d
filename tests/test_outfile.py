"""A file is written whole or not at all, and over nothing that is another's."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from campaign.errors import UserError
from campaign.outfile import GENERATOR, Kind, append, is_page, is_regular, writing
from campaign.ownfiles import OwnFiles

PRIVATE = Kind("a page of campaign's", is_page, private=True)
PUBLIC = Kind("a page of campaign's", is_page, private=False)
OURS = b"<html>" + GENERATOR


@pytest.fixture
def own(tmp_path: Path) -> OwnFiles:
    """The files of a campaign that lies elsewhere."""
    folder = tmp_path / "campaign"
    folder.mkdir()
    (folder / "campaign.yaml").write_text("name: news\nrecipients: list.csv\n")
    (folder / "list.csv").write_text("email\n")
    return OwnFiles(folder / "campaign.yaml")


def write(path: Path, own: OwnFiles, content: bytes = b"new", *, force: bool = False) -> None:
    with writing(path, PRIVATE, own, force=force) as out:
        out.write(content)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def left_over(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".campaign-")]


def test_a_new_file(tmp_path: Path, own: OwnFiles) -> None:
    write(tmp_path / "page", own)
    assert (tmp_path / "page").read_bytes() == b"new"
    assert mode(tmp_path / "page") == 0o600
    before = os.umask(0o027)
    try:
        with writing(tmp_path / "public", PUBLIC, own) as out:
            out.write(b"new")
    finally:
        os.umask(before)
    assert mode(tmp_path / "public") == 0o640
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("there", [b"", OURS, b"\xef\xbb\xbf" + OURS])
def test_what_is_empty_or_ours_is_replaced(tmp_path: Path, own: OwnFiles, there: bytes) -> None:
    file = tmp_path / "page"
    file.write_bytes(there)
    file.chmod(0o644)
    write(file, own)
    assert (file.read_bytes(), mode(file)) == (b"new", 0o600)
    file.write_bytes(there)
    file.chmod(0o664)
    with writing(file, PUBLIC, own) as out:
        out.write(b"new")
    assert (file.read_bytes(), mode(file)) == (b"new", 0o664)


@pytest.mark.parametrize("there", [b"mine", b" ", b"x" * 70_000 + GENERATOR])
def test_anything_else_only_by_force(tmp_path: Path, own: OwnFiles, there: bytes) -> None:
    file = tmp_path / "page"
    file.write_bytes(there)
    with pytest.raises(UserError, match=r"already exists, and is not a page of campaign's.* --force"):
        write(file, own)
    assert file.read_bytes() == there
    write(file, own, force=True)
    assert (file.read_bytes(), mode(file)) == (b"new", 0o600)


def test_a_link_is_followed_and_stays(tmp_path: Path, own: OwnFiles) -> None:
    (tmp_path / "folder").mkdir()
    file, link = tmp_path / "folder" / "page", tmp_path / "link"
    link.symlink_to(file)
    write(link, own)  # it leads to nothing yet
    assert link.is_symlink()
    assert file.read_bytes() == b"new"
    file.write_bytes(b"mine")
    with pytest.raises(UserError, match="already exists"):
        write(link, own)
    write(link, own, b"forced", force=True)
    assert link.is_symlink()
    assert file.read_bytes() == b"forced"


def test_a_link_that_a_row_names_is_not_followed(tmp_path: Path, own: OwnFiles) -> None:
    file, link = tmp_path / "page", tmp_path / "link"
    for content in (b"mine", OURS):
        file.write_bytes(content)
        link.symlink_to(file)
        with (
            pytest.raises(UserError, match="already exists"),
            writing(link, PRIVATE, own, follow=False) as out,
        ):
            out.write(b"new")
        with writing(link, PRIVATE, own, follow=False, force=True) as out:
            out.write(b"new")
        assert (file.read_bytes(), link.read_bytes(), link.is_symlink()) == (content, b"new", False)
        link.unlink()


def test_what_cannot_be_written(tmp_path: Path, own: OwnFiles) -> None:
    with pytest.raises(UserError, match="cannot be written: No such file or directory"):
        write(tmp_path / "none" / "page", own)
    with pytest.raises(UserError, match="is a folder; name a file"):
        write(tmp_path, own, force=True)
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(UserError, match="cannot be written: Too many levels of symbolic links"):
        write(tmp_path / "a", own, force=True)
    with pytest.raises(UserError, match="cannot be written: File name too long"):
        write(tmp_path / ("x" * 300), own)


def test_what_fails_on_the_way_leaves_the_old_file(tmp_path: Path, own: OwnFiles) -> None:
    file = tmp_path / "page"
    for there in (None, OURS):
        if there is not None:
            file.write_bytes(there)
        with suppress(KeyboardInterrupt), writing(file, PRIVATE, own) as out:
            out.write(b"half")
            raise KeyboardInterrupt
        assert (file.read_bytes() if file.exists() else None) == there
        assert left_over(tmp_path) == []


HALF = """
import sys
from pathlib import Path
from campaign.outfile import Kind, is_page, writing
from campaign.ownfiles import OwnFiles
kind = Kind("a page", is_page, private=True)
with writing(Path(sys.argv[1]), kind, OwnFiles(Path(sys.argv[2])), force=True) as out:
    out.write(b"half")
    out.flush()
    print("written", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("there", [None, b"mine"])
def test_kill_9_leaves_no_half_file(tmp_path: Path, own: OwnFiles, there: bytes | None) -> None:
    file = tmp_path / "page"
    if there is not None:
        file.write_bytes(there)
    process = subprocess.Popen(
        [sys.executable, "-c", HALF, str(file), str(tmp_path / "campaign" / "campaign.yaml")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.kill()
    assert (file.read_bytes() if file.exists() else None) == there
    [unfinished] = left_over(tmp_path)
    assert mode(tmp_path / unfinished) == 0o600
    write(file, own, force=True)  # and it stands in nobody's way
    assert file.read_bytes() == b"new"


def test_a_pipe_is_written_through(tmp_path: Path, own: OwnFiles) -> None:
    pipe, heard = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()))
    reader.start()
    write(pipe, own, b"x" * 200_000)
    reader.join()
    assert heard == [b"x" * 200_000]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert not is_regular(pipe)


def test_devices_are_written_through(own: OwnFiles) -> None:
    write(Path("/dev/null"), own)
    assert Path("/dev/null").is_char_device()
    with pytest.raises(UserError, match="/dev/full cannot be written: No space left on device"):
        write(Path("/dev/full"), own)


THROUGH = """
import os, sys
from pathlib import Path
from campaign.outfile import Kind, is_page, is_regular, writing
from campaign.ownfiles import OwnFiles
path = Path(sys.argv[1])
assert not is_regular(path)
with writing(path, Kind("a page", is_page, private=True), OwnFiles(Path("none.yaml"))) as out:
    out.write(b"new\\n")
"""


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_an_open_descriptor_is_written_through(tmp_path: Path, name: str) -> None:
    """What a shell has redirected into a file goes on where it was: nothing is renamed or cut off."""
    (tmp_path / "link").symlink_to("/dev/stdout")
    (tmp_path / "out").write_text("kept\n")
    inode = (tmp_path / "out").stat().st_ino
    for redirected in (">>out", ">out"):
        line = f'{{ echo before; "$0" -c "$1" {name}; echo after; }} {redirected}'
        subprocess.run(["bash", "-c", line, sys.executable, THROUGH], cwd=tmp_path, check=True)
        kept = "kept\n" if redirected == ">>out" else ""
        assert (tmp_path / "out").read_text() == f"{kept}before\nnew\nafter\n"
        assert (tmp_path / "out").stat().st_ino == inode
    piped = subprocess.run(
        [sys.executable, "-c", THROUGH, name], cwd=tmp_path, check=True, capture_output=True
    )
    assert piped.stdout == b"new\n"


def test_writers_at_once_do_not_remove_each_others_files(tmp_path: Path, own: OwnFiles) -> None:
    def writes() -> None:
        for _ in range(50):
            write(tmp_path / "page", own, OURS)

    threads = [threading.Thread(target=writes) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "page").read_bytes() == OURS
    assert left_over(tmp_path) == []


def test_nothing_but_a_temporary_file_is_removed(tmp_path: Path, own: OwnFiles) -> None:
    with writing(tmp_path / "page", PRIVATE, own) as out:
        [name] = left_over(tmp_path)
        out.write(b"new")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / name).symlink_to(victim)
    write(tmp_path / "page", own, OURS, force=True)
    assert victim.read_text() == "mine"
    assert left_over(tmp_path) == [name]


def test_a_log_is_appended_to_and_its_owners_alone(tmp_path: Path, own: OwnFiles) -> None:
    log = tmp_path / "log"
    log.write_text("first\n")
    log.chmod(0o644)
    with append(log, own) as lines:
        lines.write("second\n")
        assert log.read_text() == "first\nsecond\n"  # each line at once
    assert mode(log) == 0o600
    with append(tmp_path / "new", own) as lines:
        lines.write("first\n")
    assert mode(tmp_path / "new") == 0o600
    with append(Path("/dev/null"), own) as lines:
        lines.write("first\n")
    assert mode(Path("/dev/null")) & 0o666 == 0o666


def test_a_log_is_no_file_of_the_campaigns(tmp_path: Path, own: OwnFiles) -> None:
    with pytest.raises(UserError, match=r"one of the campaign's own files \(recipients\)"):
        append(tmp_path / "campaign" / "list.csv", own)
    assert (tmp_path / "campaign" / "list.csv").read_text() == "email\n"
