"""The bodies of a campaign's messages: its templates, compiled once → text and HTML, per recipient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from jinja2 import TemplateNotFound

from campaign.campaignfile.models import CampaignFile
from campaign.errors import Problem, UserError
from campaign.message import markdown, mjml, plaintext
from campaign.message.html import ImageError, Images, Inliner
from campaign.message.inline import template_name
from campaign.message.mime import File
from campaign.templating.compiled import Text, compile_file, compile_text
from campaign.templating.loader import FolderLoader
from campaign.templating.names import Names
from campaign.templating.sandbox import environment
from campaign.wording import shown


class Bodies:
    """Compiled bodies; `problems` are those of the templates, with which nothing can be rendered."""

    def __init__(self, campaign: CampaignFile, names: Names, images: Images) -> None:
        self._campaign = campaign
        self._images = images
        self._inliner = Inliner() if campaign.inline_css else None
        self._file: dict[str, Path] = {}
        self.problems: list[Problem] = []
        self._text = self._compile("text", names, html=False)
        self._markdown = self._compile("markdown", names, html=False)
        self._html = self._compile("html", names, html=True) or self._compile("mjml", names, html=True)

    @property
    def texts(self) -> Iterator[Text]:
        """The compiled templates."""
        return (text for text in (self._text, self._markdown, self._html) if text is not None)

    @property
    def html_sources(self) -> Mapping[str, str]:
        """The sources that HTML is made from, by name."""
        texts = (self._markdown, self._html)
        return {name: source for text in texts if text for name, source in text.sources.items()}

    def render(
        self, context: Mapping[str, object], subject: str
    ) -> tuple[str | None, str | None, list[File]]:
        """Return text, HTML, and the images that the HTML shows. Raises UserError.

        A page made from Markdown has the subject for its title where it has no heading, and the
        language that the name `lang`, a column or one of `vars`, holds.
        """
        if self._markdown is not None:
            rendered, language = self._markdown.render(context), str(context.get("lang", ""))
            html: str | None = markdown.to_html(rendered, title=subject, language=language)
        else:
            html = self._html.render(context) if self._html is not None else None
        text = self._text.render(context) if self._text is not None else None
        if html is None:
            return text, None, []
        try:
            if self._inliner is not None:
                html = self._inliner.inline(html)
            if text is None:  # from what is inlined, which says of its elements whether they are shown
                text = plaintext.from_html(html)
            html, images = self._images.attach(html)
        except UserError as error:
            what = "; ".join(problem.message for problem in error.problems)
            place = self._place_of(error.written if isinstance(error, ImageError) else "")
            raise UserError(replace(place, message=what)) from None
        return text, html, images

    def _place_of(self, written: str) -> Problem:
        """Return where the HTML's sources have `written`; the body's file if none has, as it was made."""
        file = next(self._file[kind] for kind in ("html", "mjml", "markdown") if kind in self._file)
        for text in (self._markdown, self._html):
            for name, source in text.sources.items() if text is not None and written else ():
                path = self._campaign.folder / name
                if written in source and path.is_file():
                    return Problem("", shown(path), source.partition(written)[0].count("\n") + 1)
        return Problem("", shown(file))

    def _compile(self, kind: str, names: Names, *, html: bool) -> Text | None:
        file: Path | None = getattr(self._campaign.templates, kind)
        if file is None:
            return None
        self._file[kind] = file
        env = environment(
            self._campaign.folder, html=html, markdown=kind == "markdown", private=self._campaign.private
        )
        place = self._campaign.problem(f"templates.{kind}", "")
        name = template_name(self._campaign, file)
        try:
            if kind == "mjml":
                loader = FolderLoader(self._campaign.folder, self._campaign.private)
                source, _, _ = loader.get_source(env, name)
                return compile_text(mjml.to_html(source, file), env=env, place=place, names=names)
            return compile_file(name, env=env, place=place, names=names)
        except TemplateNotFound as error:
            self.problems.append(replace(place, message=str(error.message)))
        except UserError as error:
            self.problems += error.problems
        return None
