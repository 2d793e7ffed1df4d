"""The filters `number`, `money`, `int`, `float` and `sum`: parse numbers in cells, and write numbers.

A cell without a number is an error: nobody wants an invoice of 0.00. How a number is written is an argument;
no locale is guessed, neither the machine's nor the recipient's. A campaign has one list, written in one way,
and the messages must be the same on every machine.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import cache

from jinja2 import Environment, Undefined, pass_environment
from jinja2.filters import make_attrgetter

LONGEST = 100  # characters of a number; the time of Python's own parser grows with the square
MOST_PLACES = 20
_LONGEST_SIGN = 6  # characters: &nbsp;
_LARGEST = 10**LONGEST

_GROUPS = {",": ". '’\u00a0\u2009\u202f", ".": ", '’\u00a0\u2009\u202f"}
# "12,- €": a price without cents.
_NO_CENTS = "[-–—]"
# ISO 4217, List One: the currencies in use.
_CODES = (
    "AED|AFN|ALL|AMD|AOA|ARS|AUD|AWG|AZN|BAM|BBD|BDT|BGN|BHD|BIF|BMD|BND|BOB|BRL|BSD|BTN|BWP|BYN|BZD|CAD|"
    "CDF|CHF|CLP|CNY|COP|CRC|CUP|CVE|CZK|DJF|DKK|DOP|DZD|EGP|ERN|ETB|EUR|FJD|FKP|GBP|GEL|GHS|GIP|GMD|GNF|"
    "GTQ|GYD|HKD|HNL|HTG|HUF|IDR|ILS|INR|IQD|IRR|ISK|JMD|JOD|JPY|KES|KGS|KHR|KMF|KPW|KRW|KWD|KYD|KZT|LAK|"
    "LBP|LKR|LRD|LSL|LYD|MAD|MDL|MGA|MKD|MMK|MNT|MOP|MRU|MUR|MVR|MWK|MXN|MYR|MZN|NAD|NGN|NIO|NOK|NPR|NZD|"
    "OMR|PAB|PEN|PGK|PHP|PKR|PLN|PYG|QAR|RON|RSD|RUB|RWF|SAR|SBD|SCR|SDG|SEK|SGD|SHP|SLE|SOS|SRD|SSP|STN|"
    "SVC|SYP|SZL|THB|TJS|TMT|TND|TOP|TRY|TTD|TWD|TZS|UAH|UGX|USD|UYU|UZS|VES|VND|VUV|WST|XAF|XCD|XOF|XPF|"
    "YER|ZAR|ZMW|ZWG"
)
_WORDS = ["Fr.", "Fr", "Kč", "kr.", "kr", "zł", "Ft", "lei", "лв.", "лв", "руб.", "R$"]
# A sign may have its country's letters before it: US$.
_CURRENCY = rf"(?:[A-Z]{{0,2}}[$¢£¤¥฿₡₦₩₪₫€₭₮₱₲₴₵₸₹₺₼₽₾₿]|{_CODES}|{'|'.join(map(re.escape, _WORDS))})"
_SPACE = "[ \u00a0\u2009\u202f]?"


@cache
def _pattern(decimal: str) -> re.Pattern[str]:
    groups = "|".join(rf"[0-9]{{1,3}}(?:{re.escape(mark)}[0-9]{{3}})+" for mark in _GROUPS[decimal])
    if decimal == ".":  # India's 12,34,567
        groups += "|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}"
    fraction = rf"(?:{re.escape(decimal)}(?:(?P<fraction>[0-9]+)|{_NO_CENTS}))?"
    number = rf"(?:(?P<whole>{groups}|[0-9]+){fraction}|{re.escape(decimal)}(?P<only>[0-9]+))"
    before = rf"(?:{_CURRENCY}{_SPACE})?"
    sign = "(?P<sign>[+−-]?)"
    return re.compile(
        rf"(?:{sign}{_SPACE}{before}|{before}(?P<inner>[+−-]?)){number}(?:{_SPACE}{_CURRENCY})?"
    )


_DEFAULT = object()


class Unreadable(ValueError):
    """A filter cannot parse a text: `what` is wrong, and a `hint` at what can parse it.

    The caller adds the column that `value` comes from.
    """

    def __init__(self, value: object, what: str, hint: str = "") -> None:
        self.value = value
        self.what = what
        self.hint = hint
        super().__init__(f"{quoted(value)} {what}" + (f"; {hint}" if hint else ""))


def quoted(value: object) -> str:
    """Return a value for an error message: shortened, or a phrase if it is blank."""
    if value is None:
        return "a null value"
    text = str(value)
    if not text.strip():
        return "a blank text"
    return repr(text if len(text) <= 40 else f"{text[:39]}…")


def number(value: object, decimal: str = ".") -> int | float:
    """Parse the number in a text: `1.234,50 €` with decimal="," is 1234.5.

    `decimal` is the sign before the fraction, "." or ",". Groups of three digits may be separated by the
    other sign, blanks or apostrophes; a currency may come before or after. Returns an int if there is no
    fraction. Raises Unreadable.
    """
    if decimal not in (",", "."):
        raise ValueError("number: decimal is ',' or '.'")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _finite(value)
    text = _text(value).strip()
    found = _pattern(decimal).fullmatch(text) if len(text) <= LONGEST else None
    if found is None:
        raise Unreadable(value, "is no number", _hint(text, decimal))
    whole = re.sub(r"[^0-9]", "", found["whole"] or "0")
    fraction = found["fraction"] or found["only"]
    negative = (found["sign"] or found["inner"]) in ("-", "−")
    size: int | float = float(f"{whole}.{fraction}") if fraction else int(whole)
    return -size if negative else size


def money(value: object, decimal: str = ".", group: str | None = None, places: int = 2) -> str:
    """Return an amount as text: 1234.5 is `1,234.50`, and with decimal="," `1.234,50`.

    It is rounded half away from zero, as on invoices. `group` separates groups of three digits; by default
    it is "." or ",", whichever is not `decimal`. A text is parsed like `number` with decimal ".". Raises
    Unreadable.
    """
    if not all(isinstance(sign, str) and len(sign) <= _LONGEST_SIGN for sign in (decimal, group or "")):
        raise ValueError("money: decimal and group are signs such as ',' and '.'")
    if isinstance(places, bool) or not isinstance(places, int) or not 0 <= places <= MOST_PLACES:
        raise ValueError(f"money: places is a number from 0 to {MOST_PLACES}")
    amount = number(value)
    if abs(amount) >= _LARGEST:
        raise Unreadable(value, "is no amount of money")
    with localcontext(prec=400):  # more digits than any float has before and after its point
        # A float holds 15 digits: 1234.5 * 1.19 is 1469.0549999999998 and means 1469.055.
        exact = Decimal(amount if isinstance(amount, int) else f"{amount:.15g}").quantize(
            Decimal(1).scaleb(-places), ROUND_HALF_UP
        )
    sign, whole, fraction = ("-" if exact < 0 else ""), *f"{abs(exact):f}".partition(".")[::2]
    between = group if group is not None else "." if decimal == "," else ","
    groups = list(_in_threes(whole))
    return sign + between.join(groups) + (decimal + fraction if fraction else "")


def whole(value: object, default: object = _DEFAULT, base: int = 10) -> object:
    """Jinja2's `int`, but without a `default`, a text that is not a number raises Unreadable."""
    try:
        if isinstance(value, int):
            return int(value)
        if isinstance(value, str) and base != 10:
            return int(_short(value), base)
        return int(value) if isinstance(value, str) and _is_whole(value) else int(_real(value))
    except (ValueError, TypeError):
        return _or_default(value, default)


def real(value: object, default: object = _DEFAULT) -> object:
    """Jinja2's `float`, but without a `default`, a text that is not a number raises Unreadable."""
    try:
        return _real(value)
    except (ValueError, TypeError):
        return _or_default(value, default)


@pass_environment
def total(
    environment: Environment,
    values: Iterable[object],
    attribute: str | int | None = None,
    start: object = 0,
) -> object:
    """Jinja2's `sum`, but floats are added exactly and rounded once.

    Python adds floats in another way from 3.12 on, and messages must be the same on every Python.
    """
    addends = list(values if attribute is None else map(make_attrgetter(environment, attribute), values))
    numbers = [value for value in (start, *addends) if isinstance(value, int | float)]
    if len(numbers) == 1 + len(addends) and any(isinstance(value, float) for value in numbers):
        return math.fsum(numbers)
    return sum(addends, start)  # type: ignore[call-overload]


def _real(value: object) -> float:
    try:
        return _finite(float(_short(value) if isinstance(value, str) else value))  # type: ignore[arg-type]
    except OverflowError:
        raise ValueError from None


def _or_default(value: object, default: object) -> object:
    if default is not _DEFAULT:
        return default
    raise Unreadable(value, "is no number", _hint(_text(value).strip(), "")) from None


def _is_whole(text: str) -> bool:
    return re.fullmatch(r"\s*[+-]?[0-9]+\s*", _short(text)) is not None


def _short(text: str) -> str:
    if len(text) > LONGEST:
        raise ValueError
    return text


def _finite(value: float) -> int | float:
    if isinstance(value, float) and not math.isfinite(value):
        raise Unreadable(value, "is no number")
    return value


def _text(value: object) -> str:
    if isinstance(value, Undefined):
        str(value)  # StrictUndefined raises an error that names what is missing
    return value if isinstance(value, str) else ("" if value is None else str(value))


def _hint(text: str, decimal: str) -> str:
    """Return a hint at the call that parses `text`, "" for none."""
    if len(text) > LONGEST:
        return ""
    for other, call in ((",", "|number(decimal=',')"), (".", "|number")):
        if other != decimal and _pattern(other).fullmatch(text):
            return f"{call} reads it"
    return ""


def _in_threes(digits: str) -> Iterator[str]:
    first = len(digits) % 3 or 3
    yield digits[:first]
    for start in range(first, len(digits), 3):
        yield digits[start : start + 3]
