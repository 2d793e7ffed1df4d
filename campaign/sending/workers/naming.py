"""Rewords a worker's errors to name files that people know, and not those in its private folder.

    with Naming(bundle, accounts, folder) as naming: …     rewords each UserError that leaves the block
    naming.renders(renders)                                and each that rendering a row raises

A problem in the campaign file gets its line in the owner's file; one with an account's value, its line in
the worker's file of accounts.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType

from campaign.campaignfile.yamlmarks import Document, Places
from campaign.delivery import Message
from campaign.errors import Problem, UserError
from campaign.model import Recipient
from campaign.sending.work import Renders
from campaign.sending.workers.accounts import Accounts
from campaign.sending.workers.bundle import HOME, OF_UNSUBSCRIBE, ROOT, Bundle
from campaign.sending.workers.unpacking import FILE
from campaign.wording import shown


class Naming:
    """Rewords the errors of one campaign on a worker, as described above."""

    def __init__(self, bundle: Bundle, accounts: Accounts, folder: Path) -> None:
        self._bundle = bundle
        self._accounts = accounts
        marks = {tuple(map(_part, path.split("."))): place for path, place in bundle.places.items()}
        self._places = Places(Document(Path(bundle.file), marks=marks), None)
        self._file = shown(folder / HOME / FILE)
        self._names: list[tuple[str, str]] = []
        for form in (str(folder), shown(folder)):
            home, root = f"{form}/{HOME}", f"{form}/{ROOT}"
            self._names += [
                (f" in {home};", " in the campaign's folder;"),
                (f"{home}/", ""),
                (home, "."),
                (root, "attachments_root"),
                (form, "."),
            ]

    def __enter__(self) -> Naming:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, UserError):
            self.reword(error)

    def renders(self, renders: Renders) -> Renders:
        """Return a renderer of the same messages that rewords its errors."""
        return _Named(renders, self)

    def reword(self, error: UserError) -> None:
        """Change the names in an error."""
        error.reword(self._reworded)

    def _reworded(self, problem: Problem) -> Problem:
        if problem.file == self._file:
            problem = self._placed(problem)
        file = self._text(problem.file) if problem.file is not None else None
        return replace(problem, message=self._text(problem.message), same=self._text(problem.same), file=file)

    def _placed(self, problem: Problem) -> Problem:
        """Return a problem in the unpacked campaign file with its place in a file that people know."""
        key, _, within = problem.path.partition(".")
        of_account = key in ("smtp", "dkim") or (key == "unsubscribe" and within not in (*OF_UNSUBSCRIBE, ""))
        if of_account or (key == "attachments_root" and self._bundle.shared):
            path = ("accounts", self._bundle.account, *map(_part, problem.path.split(".")))
            found = self._accounts.document.problem(path, problem.message)
        else:
            found = self._places.problem(problem.path, problem.message)
        return replace(problem, file=found.file, line=found.line, column=found.column, path=found.path)

    def _text(self, text: str) -> str:
        for ours, theirs in self._names:
            text = text.replace(ours, theirs)
        return text


class _Named:
    """Renders messages; `naming` rewords the errors."""

    def __init__(self, renders: Renders, naming: Naming) -> None:
        self._renders = renders
        self._naming = naming

    def render(self, recipient: Recipient, *, date: datetime) -> Message:
        """Return the message for one row. Raises UserError."""
        with self._naming:
            return self._renders.render(recipient, date=date)


def _part(part: str) -> str | int:
    return int(part) if part.isdigit() else part
