"""Reads a campaign file; if it has errors, reports at once everything that is wrong with it and its files.

A wrong key must not hide other problems: the list, the templates and every row's message are checked
without the wrong keys, as far as they do not depend on them. If the list cannot be read, the names in
templates are not checked, but all else is. The rows of a long list are read, but not rendered.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from campaign.campaignfile.load import Unsound, load
from campaign.campaignfile.models import CampaignFile
from campaign.campaignfile.remainder import Judged
from campaign.errors import Problem, UserError
from campaign.preparation import Progress, prepare, wrong_before_rendering, wrong_in_list
from campaign.sending.preflight.guards import unsendable

_MOST_RENDERED = 2 * 1024 * 1024  # octets of a list: after a mistyped key, nobody should wait for more


def read(
    file: Path, progress: Progress = lambda doing, done, of: None, jobs: int | None = None
) -> CampaignFile:
    """Read a campaign file. Raises UserError with everything that is wrong.

    If the file is sound, the files that it names are not checked here: `prepare` does that.
    """
    try:
        return load(file)
    except Unsound as error:
        if error.rest is None:
            raise
        if error.judged is Judged.ROWS:
            others = _errors(error.rest, progress, jobs)
        else:
            others = _of_templates(error.rest, error.judged)
        raise UserError(*error.problems, *others) from None


def refuse_unsendable(campaign: CampaignFile, progress: Progress, jobs: int | None) -> None:
    """If something prevents sending a campaign, raise UserError with that and all other problems."""
    reported = unsendable(campaign)
    if reported:
        raise UserError(*reported, *unreported(reported, _errors(campaign, progress, jobs)))


def unreported(reported: Iterable[Problem], problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems at places without a reported one: a narrow rate would be found for each row too."""
    paths = {problem.path for problem in reported}
    return [problem for problem in problems if not problem.path or problem.path not in paths]


def _of_templates(campaign: CampaignFile, judged: Judged) -> list[Problem]:
    """Return what is wrong with a campaign's templates, as far as that can be known without rows."""
    from campaign.message.render import wrong_in_templates
    from campaign.message.tokens import Secrets
    from campaign.recipients.list import readable_columns

    columns = readable_columns(campaign) if judged is Judged.COLUMNS else ()
    return wrong_in_templates(campaign, columns, Secrets.placeholder())


def _errors(campaign: CampaignFile, progress: Progress, jobs: int | None) -> list[Problem]:
    """Return what is wrong with a campaign's list, templates and rows."""
    from campaign.ledger import Ledger
    from campaign.message.content import BODIES
    from campaign.message.tokens import Secrets

    ledger = Ledger.temporary(campaign.name)
    try:
        if not any(getattr(campaign.templates, name) for name in BODIES):
            return wrong_in_list(campaign, progress)
        secrets = Secrets.placeholder()
        if campaign.recipients.csv.stat().st_size > _MOST_RENDERED:
            return wrong_before_rendering(campaign, secrets, progress)
        return prepare(campaign, ledger.enrolment(), secrets, progress, jobs=jobs).errors
    except UserError as error:
        return list(error.problems)
    finally:
        ledger.close()
