"""Finds what deleted rows left in the unused parts of a ledger's file, and overwrites it with zeros.

SQLite overwrites what it deletes (secure_delete). But when it moves rows between pages, copies of them
stay in the unused part of a page. Rewriting the whole file (VACUUM) removes them too, but takes ten times
as long. The offsets follow sqlite.org/fileformat2.html, 1.3 (header), 1.5 (free pages) and 1.6 (b-tree
pages). Only octets that SQLite does not use are changed: readers see no difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import SEEK_END, RawIOBase

_TABLE_LEAF, _INDEX_LEAF, _TABLE_INTERIOR, _INDEX_INTERIOR = 13, 10, 5, 2
_HEADERS = {_TABLE_LEAF: 8, _INDEX_LEAF: 8, _TABLE_INTERIOR: 12, _INDEX_INTERIOR: 12}
_FILE_HEADER = 100
_LOCKING = 1 << 30  # the page at this offset is used for locks only
# Other pages begin with a page number. Below this number, its first octet is less than that of any b-tree
# page.
_MOST_PAGES = _INDEX_INTERIOR << 24
_AT_ONCE = 256  # pages

Range = tuple[int, int]
"""Offsets in the file: first, and one after the last."""


def overwrite(file: RawIOBase) -> bool:
    """Overwrite the unused parts of a database file. Nobody may be writing to it, and it must have no WAL.

    Returns False, and stops, if anything is not as expected: then only SQLite may write to it.
    """
    header = _read(file, 0, _FILE_HEADER)
    size = int.from_bytes(header[16:18], "big")
    size = 65536 if size == 1 else size
    pages = file.seek(0, SEEK_END) // size
    if pages >= _MOST_PAGES:
        return False
    zeros = bytes(size)
    for start, end in _free(file, size, int.from_bytes(header[32:36], "big"), pages):
        _write(file, start, zeros[: end - start])
    usable = size - header[20]
    for first in range(0, pages, _AT_ONCE):
        octets = _read(file, first * size, _AT_ONCE * size)
        for at in range(0, len(octets), size):
            if octets[at] in _HEADERS or (first == 0 and at == 0):
                if first * size + at == _LOCKING:
                    continue
                gaps = _unused(octets, at, usable, _FILE_HEADER if first + at == 0 else 0)
                if gaps is None:
                    return False
                for start, end in gaps:
                    if not octets.startswith(zeros[: end - start], start):
                        _write(file, first * size + start, zeros[: end - start])
    return True


def _unused(octets: bytes, at: int, usable: int, skip: int) -> list[Range] | None:
    """Return the unused ranges of the b-tree page that begins `at`; None if the page makes no sense."""
    head = at + skip
    header = _HEADERS.get(octets[head])
    if header is None:
        return None
    free, cells, content = (int.from_bytes(octets[head + n : head + n + 2], "big") for n in (1, 3, 5))
    start, end = head + header + 2 * cells, at + (content or 65536)
    if not start <= end <= at + usable:
        return None
    gaps = [(start, end)]
    while free:
        block = at + free
        following, length = (int.from_bytes(octets[block + n : block + n + 2], "big") for n in (0, 2))
        if block < end or length < 4 or block + length > at + usable or 0 < following <= free:
            return None
        gaps.append((block + 4, block + length))
        free = following
    return gaps


def _free(file: RawIOBase, size: int, trunk: int, pages: int) -> Iterator[Range]:
    """Yield the ranges of the pages on the free list, except for the list itself."""
    for _ in range(pages):
        if not 0 < trunk <= pages:
            return
        start = (trunk - 1) * size
        octets = _read(file, start, size)
        trunk, count = int.from_bytes(octets[:4], "big"), int.from_bytes(octets[4:8], "big")
        listed = octets[8 : 8 + 4 * count]
        yield start + 8 + len(listed), start + size
        for at in range(0, len(listed), 4):
            leaf = int.from_bytes(listed[at : at + 4], "big")
            if 0 < leaf <= pages:
                yield (leaf - 1) * size, leaf * size


def _read(file: RawIOBase, start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length) or b""


def _write(file: RawIOBase, start: int, octets: bytes) -> None:
    file.seek(start)
    file.write(octets)
