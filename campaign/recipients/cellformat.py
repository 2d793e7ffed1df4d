"""Format a cell's number by its number format, as the sheet shows it (ECMA-376-1 18.8.30, 18.8.31).

Anything that depends on the reader's settings is always written one way: names of months and days in
English, a decimal point, and columns that are wide enough. A fraction is written as a decimal. The `/` in a
date becomes the date separator of the format's language: LibreOffice writes German dates like that.
"""

from __future__ import annotations

import datetime as dt
import operator
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache

_PIECE = re.compile(
    r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]|General|AM/PM|A/P|yyyy|yy|y|mmmmm|mmmm|mmm|mm|m|dddd|ddd|dd|d'
    r"|hh|h|ss|s|\.0+|E[+-]|[0#?,.%/@]|.",
    re.IGNORECASE | re.DOTALL,
)
_DATE_PIECE = re.compile(r"y+|m+|d+|h+|s+|am/pm|a/p", re.IGNORECASE)
_ELAPSED = re.compile(r"\[(h+|m+|s+)\]", re.IGNORECASE)
_CURRENCY = re.compile(r"\[\$([^\]-]*)(?:-[^\]]*)?\]")
_CONDITION = re.compile(r"\[(<=|>=|<>|<|>|=) *(-?[0-9.]+)\]")
_COMPARED: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "<>": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}
_LANGUAGE = re.compile(r"\[\$[^\]-]*-([^\]]*)\]")
# The date separator, by a language's number (MS-LCID 2.2) or name.
_SEPARATORS: dict[int | str, str] = {
    **dict.fromkeys((0x813, "nl-be"), "/"),
    **dict.fromkeys((2, 5, 7, 11, 15, 20, 21, 24, 25, 26, 27, 31, 34, 36, 37, 38), "."),
    **dict.fromkeys(
        ("bg", "cs", "de", "fi", "is", "nb", "no", "pl", "ro", "ru", "hr", "sk", "tr", "uk"), "."
    ),
    **dict.fromkeys(("sl", "et", "lv"), "."),
    **dict.fromkeys((6, 19, 29, 39), "-"),
    **dict.fromkeys(("da", "nl", "sv", "lt"), "-"),
}
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DIGITS = 15  # significant digits that a spreadsheet keeps
_WIDE = Context(prec=3000)  # the largest number, in a format of 255 characters
_DAY = 86_400_000  # milliseconds
_LAST_DAY = 2_958_466  # the day after 9999-12-31
_1900, _1904 = dt.datetime(1899, 12, 30), dt.datetime(1904, 1, 1)


def shown(number: float, number_format: str, *, since_1904: bool = False) -> str:
    """Return a number's text; in a date format, it is days since 1900, or 1904 (18.17.4.1)."""
    pieces = _pieces(_sections(number_format)[0])
    if any(_ELAPSED.fullmatch(piece) for piece in pieces):
        return _elapsed(number, pieces)
    if any(_DATE_PIECE.fullmatch(piece) for piece in pieces):
        moment = _moment(number, since_1904=since_1904)
        return _general(number) if moment is None else moment_shown(moment, number_format)
    return _number(number, number_format)


def moment_shown(moment: dt.datetime, number_format: str) -> str:
    """Return the text of a moment; ISO 8601 if the format is not a date format."""
    pieces = [piece for piece in _pieces(_sections(number_format)[0]) if not _is_setting(piece)]
    if not any(_DATE_PIECE.fullmatch(piece) for piece in pieces):
        return moment.date().isoformat() if moment.time() == dt.time() else moment.isoformat(" ")
    half = any(piece.upper() in ("AM/PM", "A/P") for piece in pieces)
    separator = _separator(number_format)
    text, last = "", ""
    for place, piece in enumerate(pieces):
        name = piece.lower()
        if name in ("m", "mm") and (last.startswith("h") or _next(pieces, place).startswith("s")):
            name = "n" * len(name)  # minutes
        part = _part(moment, name, half=half)
        text += part if part is not None else separator if piece == "/" else _literal((piece,))
        if part is not None:
            last = name
    return text.strip()


def _number(value: float, number_format: str) -> str:
    sections = _sections(number_format)
    section, signed = _section_of(value, sections)
    pieces = _pieces(section)
    if not section and len(sections) > 1:  # `;;;` hides the content of the cell
        return ""
    if "General" in pieces:
        place = pieces.index("General")
        return f"{_literal(pieces[:place])}{_general(signed)}{_literal(pieces[place + 1 :])}".strip()
    if not any(piece in "0#?" for piece in pieces):
        return _literal(pieces) or _general(signed)
    if "/" in pieces:
        return _general(signed)
    return _filled(Decimal(repr(signed)), pieces)


def _section_of(value: float, sections: tuple[str, ...]) -> tuple[str, float]:
    """Return a number's section, and the number; without its sign where the section is for negative ones."""
    conditions = [_CONDITION.search(section) for section in sections[:2]]
    if any(conditions):
        for section, condition in zip(sections, conditions, strict=False):
            if condition is not None and _COMPARED[condition[1]](value, float(condition[2])):
                is_negative = condition[1] in ("<", "<=") and float(condition[2]) <= 0
                return section, abs(value) if is_negative else value
        others = sections[2:] if all(conditions) else sections[1:]
        return (*others, "General")[0], value
    if value < 0 and len(sections) > 1:
        return sections[1], -value
    return sections[2 if value == 0 and len(sections) > 2 else 0], value


def text_shown(text: str, number_format: str) -> str:
    """Return a text as its cell shows it: the fourth section of a format, or one with `@`, is for texts."""
    if number_format == "General":
        return text
    pieces = _pieces_for_texts(number_format)
    if pieces is None:
        return text
    return "".join(text if one in ("@", "General") else _literal((one,)) for one in pieces)


def _general(value: float) -> str:
    """Return a number without a format: all digits of an integer, otherwise at most 15 significant ones."""
    number = Decimal(f"{value:.{_DIGITS}g}") if isinstance(value, float) else Decimal(value)
    if abs(number) >= Decimal("1e21"):
        return f"{float(number):g}"
    if number == number.to_integral_value():
        return str(int(number))
    return format(number.normalize(), "f") if abs(number) >= Decimal("1e-9") else f"{value:g}"


def _filled(number: Decimal, pieces: tuple[str, ...]) -> str:
    """Put a number's digits into the digit placeholders of a format."""
    if any(piece.upper() in ("E+", "E-") for piece in pieces):
        return _scientific(number, pieces)
    pattern = "".join(piece for piece in pieces if piece in "0#?,." or piece.startswith(".0"))
    # Each comma after the last placeholder divides by a thousand; one between placeholders groups.
    thousands = len(pattern) - len(pattern.rstrip(","))
    whole, point, fraction = pattern.rstrip(",").partition(".")
    number = number.scaleb(2 * pieces.count("%") - 3 * thousands, _WIDE)
    rounded = number.copy_abs().quantize(Decimal(1).scaleb(-len(fraction)), ROUND_HALF_UP, _WIDE)
    integer, _, decimals = format(rounded, "f").partition(".")
    kept = fraction.rfind("0") + 1
    decimals = decimals[:kept] + decimals[kept:].rstrip("0")
    minus = "-" if number < 0 and rounded != 0 else ""
    first, last = _places(pieces)
    behind = next((place for place in range(first, last) if pieces[place].startswith(".")), last)
    if "," in whole:
        text = f"{int(integer):,}" if integer.strip("0") or "0" in whole else ""
        text = text.rjust(whole.count("0"), "0")
    else:
        text = _placed(integer.lstrip("0"), pieces[first:behind])
    return f"{minus}{_literal(pieces[:first])}{text}{point}{decimals}{_literal(pieces[last:])}".strip()


def _placed(digits: str, pieces: tuple[str, ...]) -> str:
    """Put an integer's digits into placeholders from the right; the first one takes all that are left."""
    text = ""
    left = sum(piece in "0#?" for piece in pieces)
    for piece in reversed(pieces):
        if piece in "0#?":
            left -= 1
            digit = digits if left == 0 else digits[-1:]
            digits = digits[: len(digits) - len(digit)]
            text = (digit or {"0": "0", "?": " "}.get(piece, "")) + text
        elif piece != ",":
            text = _literal((piece,)) + text
    return text


def _places(pieces: tuple[str, ...]) -> tuple[int, int]:
    """Return the start and the end of a number's placeholders."""
    found = [
        place
        for place, piece in enumerate(pieces)
        if piece in "0#?,." or piece.startswith(".0") or piece.upper() in ("E+", "E-")
    ]
    return found[0], found[-1] + 1


def _scientific(number: Decimal, pieces: tuple[str, ...]) -> str:
    mark = next(place for place, piece in enumerate(pieces) if piece.upper() in ("E+", "E-"))
    first, last = _places(pieces)
    fraction = "".join(pieces[first:mark]).partition(".")[2]
    width = sum(piece in "0#?" for piece in pieces[mark:])
    mantissa, _, power = f"{number:.{len(fraction)}E}".partition("E")
    sign = "-" if int(power) < 0 else "+" if pieces[mark].endswith("+") else ""
    digits = f"{mantissa}E{sign}{abs(int(power)):0{width}d}"
    return f"{_literal(pieces[:first])}{digits}{_literal(pieces[last:])}".strip()


def _literal(pieces: tuple[str, ...]) -> str:
    """Return the text of pieces that are not placeholders: text, currencies, blanks."""
    text = ""
    for piece in pieces:
        currency = _CURRENCY.fullmatch(piece)
        if currency is not None:
            text += currency[1]
        elif piece.startswith('"'):
            text += piece[1:-1] if len(piece) > 1 else piece
        elif piece.startswith("\\"):
            text += piece[1:]
        elif piece.startswith("_"):
            text += " "
        elif not piece.startswith(("[", "*")) and piece != "@":
            text += piece
    return text


def _moment(days: float, *, since_1904: bool) -> dt.datetime | None:
    """Return the moment so many days after the first; None if there is none, as before 1900."""
    if not 0 <= days < _LAST_DAY - (1462 if since_1904 else 0):
        return None
    # Spreadsheets have a 29 February 1900, which did not exist: earlier days count from one day later.
    base = _1904 if since_1904 else _1900 if days >= 60 else _1900 + dt.timedelta(1)
    return base + dt.timedelta(milliseconds=round(days * _DAY))


def _separator(number_format: str) -> str:
    """Return the date separator of the language that the format names; `/` if it names none."""
    found = _LANGUAGE.search(number_format)
    if found is None:
        return "/"
    tag = found[1].lower()
    names: list[int | str] = [tag, tag.partition("-")[0]]
    if re.fullmatch("[0-9a-f]{3,8}", tag):
        names += int(tag, 16) & 0xFFFF, int(tag, 16) & 0x3FF  # with its country, and without
    return next((_SEPARATORS[name] for name in names if name in _SEPARATORS), "/")


def _next(pieces: list[str], place: int) -> str:
    """Return the next piece that prints a part of the moment."""
    return next((piece.lower() for piece in pieces[place + 1 :] if piece.lower()[:1] in tuple("ymdhs")), "")


def _part(moment: dt.datetime, name: str, *, half: bool) -> str | None:
    """Return one part of a moment, or None if `name` is not one."""
    hour = (moment.hour + 11) % 12 + 1 if half else moment.hour
    upper = "AM" if moment.hour < 12 else "PM"
    if name.startswith(".0"):
        return f".{moment.microsecond:06}"[: len(name)]
    match name:
        case "yyyy":
            return f"{moment.year:04}"
        case "yy" | "y":
            return f"{moment.year % 100:02}"
        case "mmmmm" | "mmmm" | "mmm":
            return _MONTHS[moment.month - 1][: {5: 1, 4: None, 3: 3}[len(name)]]
        case "dddd" | "ddd":
            return _DAYS[moment.weekday()][: 3 if name == "ddd" else None]
        case "mm" | "m":
            return f"{moment.month:0{len(name)}}"
        case "dd" | "d":
            return f"{moment.day:0{len(name)}}"
        case "hh" | "h":
            return f"{hour:0{len(name)}}"
        case "nn" | "n":
            return f"{moment.minute:0{len(name)}}"
        case "ss" | "s":
            return f"{moment.second:0{len(name)}}"
        case "am/pm" | "a/p":
            return upper if name == "am/pm" else upper[0]
        case _:
            return None


def _elapsed(days: float, pieces: tuple[str, ...]) -> str:
    """Return a duration: in `[h]:mm:ss`, the first part has all hours, the others the remainder."""
    unit = {"h": 3_600_000, "m": 60_000, "s": 1000}
    left = abs(round(days * _DAY))
    if not any(piece.startswith(".0") for piece in pieces):
        left = (left + 500) // 1000 * 1000
    text = "-" if days < 0 and left else ""
    for piece in pieces:
        elapsed = _ELAPSED.fullmatch(piece)
        name = (elapsed[1] if elapsed else piece).lower()
        if re.fullmatch("h+|m+|s+", name):
            count, left = divmod(left, unit[name[0]])
            text += f"{count:0{len(name)}}"
        elif piece.startswith(".0"):
            text += f".{left:03}"[: len(piece)]
        elif not _is_setting(piece):
            text += _literal((piece,))
    return text.strip()


def _is_setting(piece: str) -> bool:
    """Whether a piece prints nothing: a colour, a language, a condition."""
    return piece.startswith("[") and _ELAPSED.fullmatch(piece) is None and _CURRENCY.fullmatch(piece) is None


@lru_cache(maxsize=256)
def _pieces(section: str) -> tuple[str, ...]:
    return tuple(_PIECE.findall(section))


@lru_cache(maxsize=256)
def _pieces_for_texts(number_format: str) -> tuple[str, ...] | None:
    """Return the pieces of a format's section for texts; None where texts are shown as they are."""
    sections = _sections(number_format)
    pieces = tuple(one for one in _pieces(sections[-1]) if not one.startswith(("[", "*", "_")))
    has_place = "@" in pieces if len(sections) < 4 else True
    return pieces if has_place and pieces != ("@",) else None


@lru_cache(maxsize=256)
def _sections(number_format: str) -> tuple[str, ...]:
    """Return a format's sections: positive numbers, negative ones, zero, text."""
    sections, current = [], ""
    for piece in _pieces(number_format):
        if piece == ";":
            sections.append(current)
            current = ""
        else:
            current += piece
    return (*sections, current)
