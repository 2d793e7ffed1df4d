"""Images that HTML shows travel as parts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaign.errors import UserError
from campaign.message.files import Folder
from campaign.message.html.images import Images, is_local, local_images, patterns_of

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "spring"
    (root / "other").mkdir(parents=True)
    for name in ("a.png", "b c.png", "käse.jpg", "a&b.gif", "other/a.png", "50%.png"):
        (root / name).write_bytes(PNG + name[-5:].encode())
    (root / "list.csv").write_text("email\n")
    (root / "notes.txt").write_text("text")
    (tmp_path / "out.png").write_bytes(PNG)
    return root


@pytest.fixture
def images(root: Path) -> Images:
    return Images(Folder(root, (root / "list.csv",)), "x.test")


def cids(html: str) -> list[str]:
    return re.findall(r'"cid:([0-9a-f]{24}@x\.test)"', html)


class TestImages:
    @pytest.mark.parametrize(
        "html",
        [
            '<img src="a.png">',
            "<img src='a.png'>",
            "<img src=a.png>",
            "<img src=a.png >",
            '<IMG SRC = "a.png" />',
            "<img\n  alt='a > b'\n  src='a.png'>",
            '<img alt="x"src="a.png">',
            '<img/src="a.png"/>',
            '<img src=" a.png ">',
            '<img src="./a.png">',
            '<img src="a%2Epng">',
            '<img src="a&#46;png">',
            '<img src="a.png?v=2#top">',
            '<img src="b%20c.png">',
            '<img src="b c.png">',
            '<img src="k%C3%A4se.jpg">',
            '<img src="käse.jpg">',
            '<img src="a&amp;b.gif">',
            '<img src="a&b.gif">',
            '<img src="50%25.png">',
            '<img src="50%.png">',
            '<td class="x" background="a.png">',
            "<BODY BACKGROUND=a.png>",
            '<table width="1" background="a.png">',
            '<!--[if mso]><v:fill type="frame" src="a.png"/><![endif]-->',
        ],
    )
    def test_a_local_one_becomes_a_part(self, images: Images, html: str) -> None:
        shown, files = images.attach(html)
        (file,) = files
        assert cids(shown) == [file.content_id]
        assert f"Content-ID: <{file.content_id}>".encode() in file.octets
        assert b"Content-Disposition: inline" in file.octets

    @pytest.mark.parametrize(
        "html",
        [
            '<img src="https://x.test/a.png">',
            '<img src="HTTP://x.test/a.png">',
            '<img src="//x.test/a.png">',
            '<img src="cid:a@x.test">',
            '<img src="data:image/png;base64,AAAA">',
            '<img src="">',
            "<img src=''>",
            '<img src="#a">',
            "<img alt=a.png>",
            '<img data-src="a.png">',
            '<img alt="the src=a.png of it" title=\' src="a.png" \'>',
            "<p>src='a.png'</p>",
            "<image src='a.png'>",
            "<tdx background='a.png'>",
        ],
    )
    def test_anything_else_stays(self, images: Images, html: str) -> None:
        assert images.attach(html) == (html, [])

    def test_the_same_file_is_one_part(self, images: Images) -> None:
        html, files = images.attach(
            "<img src=a.png><img src='./a.png'><td background='a.png?x'><img src='b c.png'>"
        )
        assert [b'filename="a.png"' in file.octets for file in files] == [True, False]
        first, second, third, fourth = cids(html)
        assert first == second == third != fourth

    def test_files_of_one_name_and_content_are_one_part(self, images: Images, root: Path) -> None:
        (root / "other/a.png").write_bytes((root / "a.png").read_bytes())
        _, files = images.attach("<img src=a.png><img src=other/a.png>")
        assert len(files) == 1

    def test_files_of_one_name_with_other_content_are_two(self, images: Images, root: Path) -> None:
        (root / "other/a.png").write_bytes(PNG + b"other")
        html, files = images.attach("<img src=a.png><img src=other/a.png>")
        assert cids(html) == [file.content_id for file in files]
        assert len(set(cids(html))) == 2

    def test_the_id_is_the_same_in_every_run(self, root: Path) -> None:
        first, second = (Images(Folder(root, ()), "x.test").attach("<img src=a.png>") for _ in range(2))
        assert first == second

    @pytest.mark.parametrize(
        ("path", "what"),
        [
            ("no.png", "there is no file 'no.png'"),
            ("../out.png", "'../out.png' lies outside of attachments_root"),
            ("%2e%2e/out.png", "'../out.png' lies outside of attachments_root"),
            ("/etc/passwd", "lies outside of attachments_root"),
            ("list.csv", "is not for recipients"),
            ("notes.txt", "notes.txt is not an image: its name ends in none of .bmp, .gif,"),
            ("link.png", "lies outside of attachments_root"),
            ("a%00.png", "a path has a NUL character in it"),
        ],
        ids=range(8),
    )
    def test_a_file_that_cannot_be(self, images: Images, root: Path, path: str, what: str) -> None:
        (root / "link.png").symlink_to("../out.png")
        with pytest.raises(UserError) as caught:
            images.attach(f'<img src="{path}">')
        assert what in str(caught.value)

    def test_a_file_for_each_person_does_not_stay_in_memory(self, images: Images, root: Path) -> None:
        for number in range(200):
            (root / f"{number}.png").write_bytes(PNG + b"%d" % number)
            images.attach(f"<img src={number}.png>")
        assert images._file.cache_info().currsize <= 64

    @given(st.text(st.sampled_from("<img src='a.png\">= /\ntd"), max_size=60))
    def test_any_text_is_read(self, html: str) -> None:
        list(local_images([html]))

    def test_local_ones_are_found_in_sources(self) -> None:
        sources = [
            "<img src=a.png><img src='{{ x }}.png'>",
            "<td background='b%20c.png'><img src=https://x/>",
        ]
        assert list(local_images(sources)) == ["a.png", "b c.png"]

    @pytest.mark.parametrize("address", ["a.png", "/a.png", "a/b.png", "a b:c.png", "?a", "1:2.png"])
    def test_what_is_local(self, address: str) -> None:
        assert is_local(address)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("<p>Hi {{ name }}</p><td style='background:#fff;background-color:red'>", 0),
        ("<p><IMG src=a.png>", 1),
        ("<v:fill src='a.png'>", 1),
        ("Hi ![a](a.png)", 1),
        ("<td background=a.png>", 1),
        ("<td BACKGROUND ='a.png'><img src=b.png>", 2),
        ("<p>{{ text|safe }}</p>", 2),
        ("{% include part %}", 2),
        ("{%- extends base -%}", 2),
        ("{% include 'part.html' %}{% extends \"base.html\" %}", 0),
    ],
)
def test_what_a_page_may_show_is_known_from_its_templates(source: str, count: int) -> None:
    assert len(patterns_of(["<p>", source])) == count
