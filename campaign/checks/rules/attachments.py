"""An attachment of a type that receivers refuse, with a name that hides its type, or missing in some rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from campaign.checks.checked import Surveyed
from campaign.checks.found import Found
from campaign.checks.rule import Rule
from campaign.errors import Problem
from campaign.survey import ending
from campaign.wording import counted

# support.google.com, "File types blocked in Gmail".
_REFUSED = {
    ".ade", ".adp", ".apk", ".bat", ".cab", ".chm", ".cmd", ".com", ".cpl", ".dll", ".exe", ".hta", ".iso",
    ".jar", ".js", ".jse", ".lnk", ".mde", ".msi", ".msp", ".pif", ".ps1", ".scr", ".vb", ".vbe", ".vbs",
    ".wsf",
}  # fmt: skip
_SHORT = {".jpeg": ".jpg", ".html": ".htm", ".tiff": ".tif", ".yaml": ".yml"}  # other endings of the same
_EXPRESSIONS = re.compile(r"(\{\{[^}]*\}\}\s*)+")  # a path of nothing else may be blank


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
            name = ending(attachment.name) if attachment.name else None
            if number not in surveyed.renderer.files_named_by:
                yield from self._named(surveyed, number, ending(attachment.path), name)
        for (number, path, name), ranges in sorted(
            surveyed.survey.endings.items(), key=lambda one: (one[0][0], one[1].ranges)
        ):
            its_rows = ranges.rows
            words = "" if its_rows.count == surveyed.survey.messages else f" ({its_rows})"
            for problem in self._named(surveyed, number, path, name):
                yield replace(problem, message=f"{problem.message}{words}", rows=its_rows)

    def _named(self, surveyed: Surveyed, number: int, path: str, name: str | None) -> Iterator[Problem]:
        """Yield what is wrong with the endings of a file's path and name."""
        suffix = name or path
        if suffix in _REFUSED:
            place = surveyed.campaign.problem(f"attachments.{number}", "")
            yield self.at(place, f"many receivers refuse {suffix} files; send a link to it")
        elif name is not None and path and _SHORT.get(name, name) != _SHORT.get(path, path):
            place = surveyed.campaign.problem(f"attachments.{number}.name", "")
            ends = (
                f"ends in {name}, and the file in {path}"
                if name
                else f"does not end in {path} as the file's does"
            )
            yield self.at(place, f"the name {ends}; programs rely on that")
