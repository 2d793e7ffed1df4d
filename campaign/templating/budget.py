"""What rendering one template may cost: units of work and processor time, and the price of operations.

Pure but for the processor's clock. What one operation makes is paid before it runs, for it cannot
be stopped; what many cheap ones add up to is bounded by time. A letter takes a ten thousandth of it.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Iterable, Iterator

from jinja2.exceptions import SecurityError

BUDGET = 20_000_000
"""Units of work of one rendering: a character that is read or made is one."""

TURN = 10
"""Units that one turn of a loop costs, or one item of a list that is read."""

CALL = 200
"""Units that one call costs; calling a macro takes some 15 µs."""

SECONDS = 5.0
"""Processor time of one rendering; a letter takes a ten thousandth of it."""

_LOOK = 100  # units between two looks at the clock: ten turns
_LARGEST_INTEGER = 100_000  # bits
_BUILT_IN = (str, bytes, list, tuple, dict, set, frozenset, range)
_NUMBER = re.compile(r"\d+")
_WIDTH_FROM_ARGUMENT = re.compile(r"%[^a-zA-Z%]*\*|\{[^{}]*:[^{}]*\{")


class Budget(threading.local):
    """What is left of one rendering's work; each thread has its own."""

    left: int = BUDGET
    _look: int = 0
    _ends: float = math.inf

    def refill(self) -> None:
        """Begin another rendering."""
        self.left, self._look = BUDGET, BUDGET - _LOOK
        self._ends = time.thread_time() + SECONDS

    def spend(self, units: int) -> None:
        """Take `units` off; raises SecurityError where nothing is left, of work or of time."""
        self.left -= units
        if self.left < 0:
            raise SecurityError(
                f"the template makes too much work for one message: more than {BUDGET:,} characters built,"
                f" or more than {BUDGET // TURN:,} turns of its loops"
            )
        if self.left < self._look:
            self._look = self.left - _LOOK
            if time.thread_time() > self._ends:
                raise SecurityError(
                    "the template makes too much work for one message: it takes more than"
                    f" {SECONDS:g} seconds"
                )

    def pay(self, value: object) -> object:
        """Spend what printing `value` takes, and return it."""
        self.spend(_size(value))
        return value


class Turns:
    """The values that a loop goes over, each turn paid when it comes."""

    def __init__(self, budget: Budget, values: object) -> None:
        self._budget = budget
        self._values = values

    def __iter__(self) -> Iterator[object]:
        spend = self._budget.spend
        for value in self._values:  # type: ignore[attr-defined]
            spend(TURN)
            yield value

    def __len__(self) -> int:  # for `loop.length`; a generator has none, and Jinja2 then counts itself
        return len(self._values)  # type: ignore[arg-type]


def check_integers(operator: str, left: int, right: int) -> None:
    """Raise SecurityError where `left operator right` is arithmetic on numbers too long to be fast."""
    bits = max(left.bit_length(), right.bit_length())
    if operator == "**" and right > 0:
        bits = left.bit_length() * right
    if bits > _LARGEST_INTEGER:
        raise SecurityError("the template calculates with a number of more than 30,000 digits")


def product(left: object, right: object) -> int:
    """What a text or list times a number takes."""
    for value, times in ((left, right), (right, left)):
        if isinstance(value, str | bytes | list | tuple) and isinstance(times, int):
            return _size(value) * max(times, 0)
    return 0


def breadth(value: object) -> int:
    """The characters or items that one pass over `value` sees."""
    return len(value) if isinstance(value, _BUILT_IN) else 0


def _size(value: object) -> int:
    """No less than the characters that printing `value` gives, until that is past any budget.

    A list can hold another many times: what little memory holds may be long in print.
    """
    if isinstance(value, str | bytes):
        return len(value)
    size, waiting = 0, [value]
    while waiting and size <= BUDGET:
        item = waiting.pop()
        size += len(item) if isinstance(item, str | bytes) else TURN
        if isinstance(item, dict):
            waiting += item.keys()
            waiting += item.values()
        elif isinstance(item, list | tuple | set | frozenset):
            waiting += item
        elif isinstance(item, range):
            size += TURN * len(item)
    return size


def growth(subject: object, arguments: Iterable[object]) -> int:
    """No less than the characters that padding, joining or replacing in `subject` can make."""
    factor = 1
    for argument in arguments:
        factor += abs(argument) if isinstance(argument, int) else _size(argument)
    return _size(subject) + (breadth(subject) + 1) * factor


def format_cost(template: str, arguments: Iterable[object]) -> int:
    """No less than the characters that formatting gives: every number in `template` may be a width."""
    # More digits than these are past any budget, and int() would be slow on thousands of them.
    cost = len(template) + sum(int(number[:12]) for number in _NUMBER.findall(template))
    places = template.count("{") + template.count("%")
    from_arguments = _WIDTH_FROM_ARGUMENT.search(template) is not None
    for argument in arguments:
        cost += abs(argument) if from_arguments and isinstance(argument, int) else _size(argument) * places
    return cost
