"""Templates written in the campaign file itself → compiled texts.

Their problems are collected, so that all of a campaign's can be raised together.
"""

from __future__ import annotations

import os
from pathlib import Path

from campaign.campaignfile.models import CampaignFile
from campaign.errors import Problem, UserError
from campaign.templating.compiled import Text, compile_file, compile_text
from campaign.templating.names import Names
from campaign.templating.sandbox import environment

BLANK = Text(constant="")


class InlineTemplates:
    """Compiles for contexts with these names. `problems` grows with each template that is wrong."""

    def __init__(self, campaign: CampaignFile, names: Names) -> None:
        self.problems: list[Problem] = []
        self._campaign = campaign
        self._names = names
        self._env = environment(campaign.folder, html=False, private=campaign.private)

    def text(self, path: str, source: str | None) -> Text:
        """Return the template at `path` of the campaign file; BLANK where there is none, or it is wrong."""
        if source is None:
            return BLANK
        try:
            place = self._campaign.problem(path, "")
            return compile_text(source, env=self._env, place=place, names=self._names)
        except UserError as error:
            self.problems += error.problems
            return BLANK

    def file(self, path: str, file: Path) -> Text:
        """Return the template in a file that `path` names; BLANK where it is wrong."""
        try:
            place = self._campaign.problem(path, "")
            name = template_name(self._campaign, file)
            return compile_file(name, env=self._env, place=place, names=self._names)
        except UserError as error:
            self.problems += error.problems
            return BLANK


def template_name(campaign: CampaignFile, file: Path) -> str:
    """Return a template file's path from the campaign's folder; the loader decides whether to read it."""
    return Path(os.path.relpath(file, campaign.folder)).as_posix()
