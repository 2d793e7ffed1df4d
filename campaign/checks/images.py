"""A picture that lies in a file of ours and is named where no message can carry it: nobody will see it.

`<img src>` and `background` travel with the message; `url()` in a style and `srcset` do not, and
need an address that begins with https://.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

from campaign.checks.checked import Checked
from campaign.errors import Problem
from campaign.message.html import is_local

_NAMED = re.compile(r"""\burl\(\s*["']?([^"')]+)|\ssrcset\s*=\s*["']?([^"'\s,>]+)""", re.IGNORECASE)


def check(checked: Checked) -> Iterator[Problem]:
    """Yield a warning for each such picture of the first row's message."""
    found = (unescape(url or srcset).strip() for url, srcset in _NAMED.findall(unescape(checked.html or "")))
    for address in dict.fromkeys(filter(is_local, found)):
        what = f"{address[:80]!r} is shown by a style or a srcset, which cannot bring a file along"
        yield checked.warn("templates", f"{what}; write an https address, or <img src>")
