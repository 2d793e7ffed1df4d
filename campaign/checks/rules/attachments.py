"""An attachment of a type that receivers refuse, with a name that hides its type, or missing in some rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from campaign.checks.checked import Surveyed
from campaign.checks.found import Found
from campaign.checks.rule import Rule
from campaign.errors import Problem
from campaign.wording import counted

# support.google.com, "File types blocked in Gmail".
_REFUSED = {
    ".ade", ".adp", ".apk", ".bat", ".cab", ".chm", ".cmd", ".com", ".cpl", ".dll", ".exe", ".hta", ".iso",
    ".jar", ".js", ".jse", ".lnk", ".mde", ".msi", ".msp", ".pif", ".ps1", ".scr", ".vb", ".vbe", ".vbs",
    ".wsf",
}  # fmt: skip
_KIND = re.compile(r"\.[a-z0-9]{1,5}")
_EXPRESSIONS = re.compile(r"(\{\{[^}]*\}\}\s*)+")  # a path of nothing else may be blank
_ONE = re.compile(r"\{\{[^}]*\}\}")  # a single expression may give the whole name


class Check(Rule):
    """Reports attachments that receivers refuse, that hide their type, or that some rows lack."""

    def report(self, surveyed: Surveyed, found: Found) -> Iterator[Problem]:
        """Yield a warning for each such file, and for each column that names a file and is blank in rows."""
        for (number, column), blank in surveyed.survey.no_file.items():
            entry = surveyed.campaign.attachments[number]
            if entry.each is not None:
                continue  # a list may be empty
            if not _EXPRESSIONS.fullmatch(entry.path.strip()):
                continue  # `files/.pdf` does not exist, which is an error of the row
            rows = counted(blank.rows.count, "row")
            yield self.warn_list(
                f"{column} is blank in {rows}, and names the file of entry {number + 1} of attachments:"
                " their mail goes without the file; if that is intended, write {% if … %}"
                " around the path",
                blank.line,
                blank.rows,
            )
        for number, attachment in enumerate(surveyed.campaign.attachments):
            path, name = (
                PurePosixPath(text.rstrip()).suffix.lower()
                for text in (attachment.path, attachment.name or "")
            )
            suffix = name or path
            if suffix in _REFUSED:
                yield self.at(
                    surveyed.campaign.problem(f"attachments.{number}", ""),
                    f"many receivers refuse {suffix} files; send a link to it",
                )
            elif (
                attachment.name
                and _KIND.fullmatch(path)
                and name != path
                and not _ONE.fullmatch(attachment.name)
            ):
                yield self.at(
                    surveyed.campaign.problem(f"attachments.{number}.name", ""),
                    f"the name does not end in {path} as the file's does; programs rely on that",
                )
