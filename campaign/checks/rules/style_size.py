"""More CSS in `<style>` than Gmail keeps: it drops the rest, or the whole block.

The limit was 8,192 bytes for many years; since 2017, 16,384 for all blocks together were measured
(github.com/hteumeuleu/email-bugs/issues/90, caniemail.com/features/html-style). Over 16 KB is a
warning, a block over 8 KB a note. Inlined rules do not count, since they are no longer in the block.
"""

from __future__ import annotations

from collections.abc import Iterator

from campaign.checks.finding import Finding
from campaign.checks.rule import Rule
from campaign.checks.seen import Seen
from campaign.errors import Severity
from campaign.model import Recipient

MOST = 16_384
"""Octets of all style elements."""

MOST_OF_ONE = 8_192
"""Octets of one, by older measurements."""


class Check(Rule):
    """Reports more CSS than Gmail keeps."""

    def see(self, recipient: Recipient, message: Seen) -> Iterator[Finding]:
        sizes = [len(style) for style in message.page.styles] if message.page is not None else []
        if sum(sizes) > MOST:
            what = f"the style elements have {sum(sizes) / 1000:.1f} KB, and Gmail keeps only the first 16"
            yield self.find(self.at(self.in_html("<style"), what, same="all"))
        elif max(sizes, default=0) > MOST_OF_ONE:
            what = f"a style element has {max(sizes) / 1000:.1f} KB; some versions of Gmail keep only 8"
            yield self.find(self.at(self.in_html("<style"), what, Severity.NOTE, same="one"))
