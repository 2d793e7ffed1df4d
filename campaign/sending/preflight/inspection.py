"""The offline part of `check`: finds every problem that can be known before sending, without a connection.

    inspect(file) -> Inspection: the problems of the file, the list, the templates and every row

No password, token or secret command is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from campaign.campaignfile.models import CampaignFile
from campaign.checks.running import Checks
from campaign.checks.spam import Sample
from campaign.delivery import Message
from campaign.errors import Problem, Severity, UserError
from campaign.ledger import Ledger
from campaign.message.tokens import Secrets
from campaign.preparation import Progress, prepare
from campaign.sending.preflight.guards import unsendable
from campaign.sending.preflight.reading import read, unreported
from campaign.survey import Survey


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found. `campaign` and `survey` are None if the file could not be read.

    `chosen` are messages spread over the list, if they were asked for.
    """

    problems: tuple[Problem, ...]
    campaign: CampaignFile | None = None
    survey: Survey | None = None
    chosen: tuple[Message, ...] = ()

    @property
    def errors(self) -> int:
        """How many of the problems are errors."""
        return sum(problem.severity is Severity.ERROR for problem in self.problems)


def inspect(file: Path, progress: Progress, jobs: int | None = None, *, choose: bool = False) -> Inspection:
    """Read the campaign file, its list and its templates, and render every row; `choose` some messages.

    At most `jobs` processes render, by default as many as there are cores.
    """
    try:
        campaign = read(file, progress, jobs)
    except UserError as error:
        return Inspection(error.problems)
    reported = unsendable(campaign)
    ledger = Ledger.temporary(campaign.name)
    try:
        sample = Sample() if choose else None
        checks = Checks(campaign, sample)
        preparation = prepare(campaign, ledger.enrolment(), Secrets.placeholder(), progress, checks, jobs)
        problems = (*reported, *unreported(reported, preparation.errors), *checks.report())
        rows = sample.chosen() if sample is not None else []
        chosen = tuple(preparation.renderer.render(row, date=datetime.now(UTC)) for row in rows)
        return Inspection(problems, campaign, preparation.survey, chosen)
    except UserError as error:
        return Inspection((*reported, *unreported(reported, error.problems)), campaign)
    finally:
        ledger.close()
