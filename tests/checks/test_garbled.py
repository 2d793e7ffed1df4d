"""Letters that were garbled on the way: which are told, with the word as it was, and what only looks so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.checks.conftest import Said


@pytest.mark.parametrize(
    ("cell", "what"),
    [
        ("JÃ¶rg", "first has 'JÃ¶rg' for 'Jörg': UTF-8 that was read as another encoding"),
        ("GarcÃ\xada", "for 'García'"),
        ("FranÃ§ois Dâ€™Arc", "'FranÃ§ois' for 'François'"),
        ("Dâ€™Arc", "for 'D’Arc'"),
        ("Ã“scar", "for 'Óscar'"),
        ("Ã\x81lvaro", "for 'Álvaro'"),
        ("Å\xa0imon Å¾", "for 'Šimon'"),
        ("ÐŸÑ€Ð¸Ð²ÐµÑ‚", "for 'Привет'"),
        ("æ—¥æœ¬", "for '日本'"),
        ("Ann ðŸ˜€", "for '😀'"),
        ("10 â‚¬", "for '€'"),
        ("J√∂rg", "for 'Jörg'"),
        ("J�rg", "first has 'J�rg': a character was lost; export the list again"),
        ("Ann\u202egpj.exe", "after it; filters take that for deceit; take it out"),
        ("#N/A", "first has #N/A, an error of the spreadsheet; correct it there"),
        ("#WERT!", "first has #WERT!, an error of the spreadsheet"),
        ('"=""01234"""', 'first has ="01234", which spreadsheets show as 01234; export the text itself'),
    ],
)
def test_garbled(said: Said, cell: str, what: str) -> None:
    (only,) = said("garbled", f"email,first,other\nann@x.test,Ann,{cell}\nben@x.test,{cell},Ben\n")
    assert only.startswith("list.csv:3: warning: first has ")
    assert what in only
    assert only.endswith("(row 2)")


_WORDS = [
    "Jörg", "Groß", "Ángel", "Óscar", "Íñigo", "Élodie", "Çelik", "Øyvind", "Åse", "Łukasz", "Żaneta", "Ğül",
    "Şükrü", "Žižek", "Čapek", "Ðuro", "Þór", "Ægir", "Ștefan", "Иван", "Юлия", "Ωμέγα", "Ελένη", "日本",
    "한국", "ไทย", "naïve", "déjà", "à", "don’t", "“q”", "–", "—", "…", "€", "™", "©", "½", "😀",
]  # fmt: skip
_ON_A_MAC = ["Jörg", "Óscar", "Élodie", "naïve", "Øyvind", "Åse", "Çelik", "don’t", "5 €"]


def as_windows(octets: bytes) -> str:
    """Five octets mean nothing in Windows-1252, and become C1 controls."""
    return "".join(bytes([one]).decode("cp1252", "ignore") or chr(one) for one in octets)


@pytest.mark.parametrize("word", _WORDS)
@pytest.mark.parametrize("read_as", [as_windows, lambda octets: octets.decode("latin-1")])
def test_what_was_garbled_is_known(word: str, read_as: Callable[[bytes], str], said: Said) -> None:
    (only,) = said("garbled", text=f"Hi {{{{ first }}}}, {read_as(word.encode())} and so on\n")
    assert f" for {word!r}" in only


@pytest.mark.parametrize(
    "word", ["Jörg", "Óscar", "Élodie", "naïve", "Øyvind", "Åse", "Çelik", "don’t", "5 €"]
)
def test_what_a_mac_has_garbled(word: str, said: Said) -> None:
    (only,) = said("garbled", text=f"Hi {{{{ first }}}}, {word.encode().decode('mac_roman')} and so on\n")
    assert f" for {word.split(' ')[-1]!r}" in only


@pytest.mark.parametrize(
    "cell",
    [
        "#1",
        "#SALE!",
        "=",
        "2√π",
        "√Ω",
        "CAFÈ™",
        "Jörg",
        "„Spaß“",
        "CAFÉ™",
        "AMANHÃ”",
        "IRMÃ… E",
        "né…”",
        "È»",
        "Â",
        "ÎLE",
        "À »",
        "日本",
        "אב\u200e",
        "√2",
        "Đà",
    ],
)
def test_what_is_not_garbled(said: Said, cell: str) -> None:
    assert said("garbled", f"email,first\nann@x.test,{cell}\n", text=f"{{{{ first }}}} {cell}") == []


def test_garbled_cells_that_a_template_tests_first(said: Said) -> None:
    people = "email,first\nann@x.test,JÃ¶rg\nben@x.test,#N/A\n"
    found = said("garbled", people, "Hi{% if first %} {{ first }}{% endif %}")
    assert [line.partition(";")[0] for line in found] == [
        "list.csv:2: warning: first has 'JÃ¶rg' for 'Jörg': UTF-8 that was read as another encoding",
        "list.csv:3: warning: first has #N/A, an error of the spreadsheet",
    ]
    assert said("garbled", people, "Hi") == []


def test_garbled_names_of_attachments(said: Said) -> None:
    names = ["FÃ¼r {{ first }}.pdf", "fÃ¼r.pdf", "für.pdf"]
    found = said("garbled", attachments=[{"path": "body.txt", "name": name} for name in names])
    assert len(found) == 2
    assert "'FÃ¼r' for 'Für'" in found[0]
    assert "'fÃ¼r.pdf' for 'für.pdf'" in found[1]


def test_garbled_constants(said: Said) -> None:
    constants = {"city": "KÃ¶ln", "months": ["MÃ¤rz", "Mai"], "who": {"lead": "ZoÃ«"}, "good": "Jörg", "n": 5}
    found = said("garbled", vars=constants, recipients={"csv": "list.csv", "name": "FÃ¼r {{ first }}"})
    assert [one.split(" warning: ")[1].partition(":")[0] for one in found] == [
        "vars.city",
        "vars.months, entry 1",
        "vars.who.lead",
        "recipients.name",
    ]
    assert "spring.yaml:" in found[0]
    assert "here stands 'KÃ¶ln' for 'Köln': UTF-8 that was read as another encoding" in found[0]


def test_garbled_templates_and_names(said: Said) -> None:
    (only,) = said("garbled", text="Hi {{ first }}\nyou donâ€™t\n")
    words = "here stands 'donâ€™t' for 'don’t': UTF-8 that was read as another encoding"
    assert only == "body.txt:2: warning: " + words
    (only,) = said("garbled", html="<p>\n<b>5&nbsp;�</b>")
    assert only.startswith("body.html:2: warning: here stands ")
    people = "email,first,who\nann@x.test,Ann,JÃ¶rg\n"
    (only,) = said("garbled", people, recipients={"csv": "list.csv", "name": "{{ who }}"})
    assert only.startswith("list.csv:2: warning: who has 'JÃ¶rg' for 'Jörg'")
