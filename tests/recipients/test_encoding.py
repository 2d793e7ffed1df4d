"""The encoding that a list is said to be in, and whether it is."""

from __future__ import annotations

import codecs
import gzip

import pytest

from campaign.errors import UserError
from tests.recipients.lists import Open, good, lines, refusal


class TestEncoding:
    TEXT = "email,name\na@x.test,Zoë\n"

    def test_utf_8_with_its_mark(self, listed: Open) -> None:
        recipients = listed(codecs.BOM_UTF8 + self.TEXT.encode())
        assert recipients.columns == ("email", "name")
        assert good(recipients)[0].row["name"] == "Zoë"

    @pytest.mark.parametrize(
        ("named", "octets"),
        [
            ("cp1252", TEXT.encode("cp1252")),
            ("Latin-1", TEXT.encode("latin-1")),
            ("utf-8-sig", TEXT.encode()),
            ("utf-16", TEXT.encode("utf-16")),
            ("utf-16", codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be")),
            ("utf-16-le", TEXT.encode("utf-16-le")),
            ("utf-16-le", TEXT.encode("utf-16")),
            ("utf-16-be", codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be")),
            ("utf-32", TEXT.encode("utf-32")),
            ("cp500", TEXT.encode("cp500")),
        ],
    )
    def test_a_named_one(self, listed: Open, named: str, octets: bytes) -> None:
        assert good(listed(octets, encoding=named))[0].row["name"] == "Zoë"

    def test_a_line_feed_s_octet_in_another_character_ends_no_line(self, listed: Open) -> None:
        text = "email,name\r\na@x.test,ਊ੊\u0a0d\u0d0a Ċ\r\n"
        (row,) = good(listed(text.encode("utf-16"), encoding="utf-16"))
        assert row.row["name"] == "ਊ੊\u0a0d\u0d0a Ċ"

    @pytest.mark.parametrize(
        ("octets", "named", "mark"),
        [
            (TEXT.encode("utf-16"), None, "utf-16"),
            (TEXT.encode("utf-32"), None, "utf-32"),
            (TEXT.encode("utf-8-sig"), "cp1252", "utf-8"),
            (TEXT.encode("utf-16"), "utf-32", "utf-16"),
        ],
    )
    def test_a_mark_that_says_otherwise(
        self, listed: Open, octets: bytes, named: str | None, mark: str
    ) -> None:
        what = refusal(lambda: listed(octets, **({"encoding": named} if named else {})))
        assert what == f"list.csv: the list is {mark.upper()}; write `encoding: {mark}`, or save it as UTF-8"

    @pytest.mark.parametrize("text", [TEXT, "email;имя\r\nann@x.test;Анна\r\n", "email\na@x.test\n"])
    @pytest.mark.parametrize("named", [None, "cp1252", "utf-16", "utf-8", "utf-16-be", "utf-16-le"])
    @pytest.mark.parametrize("real", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
    def test_utf_16_without_a_mark(self, listed: Open, real: str, named: str | None, text: str) -> None:
        octets = text.encode(real)
        if real == named:
            assert len(good(listed(octets, encoding=named))) == 1
            return
        what = refusal(lambda: listed(octets, **({"encoding": named} if named else {})))
        assert what == (
            f"list.csv: the list is {real.upper()} without a byte order mark;"
            f" write `encoding: {real}`, or save it as UTF-8"
        )

    @pytest.mark.parametrize("octets", [b"", b"e", b"\0", b"\0\0\0\0", b"email\0\na@x.test\0\n", b"\0\0e"])
    def test_other_files_with_nul_octets(self, listed: Open, octets: bytes) -> None:
        try:
            what = str(lines(listed(octets)))
        except UserError as error:
            what = str(error)
        assert "without a byte order mark" not in what

    def test_a_compressed_list_is_named(self, listed: Open) -> None:
        what = refusal(lambda: listed(gzip.compress(self.TEXT.encode())))
        assert what == "list.csv: the list is compressed (gzip); unpack it"

    @pytest.mark.parametrize("name", ["utf-9", "base64", "rot13", "idna", "punycode", "undefined", "x" * 99])
    def test_a_name_that_is_none(self, listed: Open, name: str) -> None:
        what = refusal(lambda: listed(self.TEXT, encoding=name))
        assert what == (
            f"spring.yaml:4:13: recipients.encoding: there is no encoding {name!r};"
            " write one such as utf-8 or cp1252"
        )

    @pytest.mark.parametrize("end", ["\n", ""])
    def test_octets_of_another_name_their_row(self, listed: Open, end: str) -> None:
        text = f"email,name\na@x.test,Ann\nb@x.test,Zoë\nc@x.test,José{end}"
        assert lines(listed(text.encode("cp1252"))) == [
            "1: a@x.test",
            "2: list.csv:3: name is not UTF-8; save the list as UTF-8,"
            " or name its encoding with `recipients.encoding`, such as cp1252",
            "3: list.csv:4: name is not UTF-8; save the list as UTF-8,"
            " or name its encoding with `recipients.encoding`, such as cp1252",
        ]

    def test_half_a_character_at_the_end_of_utf_16(self, listed: Open) -> None:
        first, second = lines(listed((self.TEXT + "b@x.test,B").encode("utf-16") + b"x", encoding="utf-16"))
        assert first == "1: a@x.test"
        assert second.startswith("2: list.csv:3: name is not UTF-16")

    @pytest.mark.parametrize("named", ["cp1252", "latin-1", "mac-roman", "cp850", "iso8859-15", "koi8-r"])
    def test_utf_8_under_another_name(self, listed: Open, named: str) -> None:
        text = "email,name\na@x.test,Ann\nb@x.test,Zoë\nc@x.test,Bo\n"
        first, wrong, third = lines(listed(text.encode(), encoding=named))
        assert (first, third) == ("1: a@x.test", "3: c@x.test")
        assert wrong.startswith("2: list.csv:3: ")
        assert wrong.endswith(
            " is 'Zoë' in UTF-8; if the list is UTF-8, remove `recipients.encoding`;"
            " otherwise name the right one"
        )

    def test_utf_8_that_is_nothing_in_the_encoding_named(self, listed: Open) -> None:
        (wrong,) = lines(listed("email,name\na@x.test,Íris\n".encode(), encoding="cp1252"))
        assert wrong == (
            "1: list.csv:2: name is not CP1252;"
            " if the list is UTF-8, remove `recipients.encoding`; otherwise name the right one"
        )

    def test_utf_8_under_another_name_in_the_header(self, listed: Open) -> None:
        what = refusal(lambda: listed("email,Größe\n".encode(), encoding="cp1252"))
        assert what.startswith("list.csv:1: the header has 'emailGröße' in UTF-8")

    @pytest.mark.parametrize(
        ("named", "name"),
        [
            ("cp1252", "Zoë Ælfgifu Öğ".replace("ğ", "g")),
            ("cp1251", "Фёдор Рёбров"),
            ("koi8-r", "Жанна Ёлкина"),
            ("iso8859-7", "Ιωάννης"),
            ("cp1256", "سعاد"),
            ("shift_jis", "山田太郎"),
            ("cp932", "ﾔﾏﾀﾞ"),
            ("gb18030", "联通 王小明"),
            ("big5", "陳大文"),
            ("euc-kr", "김민수"),
            ("iso2022_jp", "山田"),
        ],
    )
    def test_what_is_rightly_named_is_read(self, listed: Open, named: str, name: str) -> None:
        text = f"email,name\na@x.test,{name}\n"
        assert good(listed(text.encode(named), encoding=named))[0].row["name"] == name

    def test_in_the_header(self, listed: Open) -> None:
        what = refusal(lambda: listed("email,Größe\n".encode("cp1252")))
        assert what.startswith("list.csv:1: the header is not UTF-8; save the list as UTF-8")
