"""Compiles a campaign's body templates once, and renders text and HTML for each recipient."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from jinja2 import Environment, TemplateNotFound

from campaign.errors import Problem, UserError
from campaign.message.content import Content
from campaign.message.context import for_markdown
from campaign.message.html.images import ImageError, Images, patterns_of
from campaign.message.html.inliner import Inliner
from campaign.message.html.preheader import with_preheader
from campaign.message.html.sheets import SheetError, Sheets
from campaign.message.html.template_styles import named_sheets
from campaign.message.html.utm import with_parameters
from campaign.message.mime import File
from campaign.templating.compiled import compile_file, compile_text
from campaign.templating.loader import FolderLoader
from campaign.templating.names import Names
from campaign.templating.sandbox import Environment as SandboxedEnvironment
from campaign.templating.sandbox import environment
from campaign.templating.text import Text
from campaign.wording import shown


@dataclass(frozen=True, slots=True)
class Extras:
    """What is added to the rendered HTML.

    `utm` are parameters by their full names; they are not added to the link at `unsubscribe`.
    """

    preheader: str = ""
    utm: Mapping[str, str] = field(default_factory=dict)
    unsubscribe: str = ""


class Bodies:
    """Compiled bodies.

    `problems` are those of the templates; with any, nothing can be rendered. `sheets` are the texts of the
    local style sheets that the templates name.
    """

    def __init__(self, content: Content, names: Names, images: Images) -> None:
        self._content = content
        self._images = images
        self._loader = FolderLoader(content.folder, content.private)
        self._sheets = self._make_sheets()
        self._inliner = Inliner(self._sheets) if content.inline_css else None
        self._file: dict[str, Path] = {}
        self._from_mjml = ""
        self.problems: list[Problem] = []
        self._text = self._compile("text", names, html=False)
        self._markdown = self._compile("markdown", names, html=False)
        self._html = self._compile("html", names, html=True) or self._compile("mjml", names, html=True)
        self.sheets = tuple(self._read_sheets()) if content.inline_css else ()
        self._shows = patterns_of(self.html_templates)

    @property
    def texts(self) -> dict[str, Text]:
        """The compiled templates, by `text`, `markdown` and `html`, which includes MJML."""
        compiled = (self._text, self._markdown, self._html)
        kinds = ("text", "markdown", "html")
        return {kind: text for kind, text in zip(kinds, compiled, strict=True) if text is not None}

    @property
    def html_templates(self) -> Iterator[str]:
        """The templates that give HTML: the HTML sources, or the HTML that MJML was converted to."""
        if self._from_mjml:
            yield self._from_mjml
            return
        for kind, text in self.texts.items():
            yield from text.sources.values() if kind != "text" else ()

    def render(
        self, context: Mapping[str, object], subject: str, extras: Extras
    ) -> tuple[str | None, str | None, list[File]]:
        """Return text, HTML, and the images that the HTML shows. Raises UserError.

        A page made from Markdown has its first heading as title, or the subject. Its language is the value
        of `lang`, a column or one of `vars`.
        """
        if self._markdown is not None:
            rendered, language = self._markdown.render(for_markdown(context)), str(context.get("lang", ""))
            from campaign.message.html import markdown

            html: str | None = markdown.to_html(rendered, title=subject, language=language)
        else:
            html = self._html.render(context) if self._html is not None else None
        text = self._text.render(context) if self._text is not None else None
        if html is None:
            return text, None, []
        try:
            html = with_preheader(html, extras.preheader)
            if self._inliner is not None:
                html = self._inliner.inline(html)
            html = with_parameters(html, self._content.utm_domains, extras.utm, extras.unsubscribe)
            if text is None:  # after inlining, each element's own style says whether it is shown
                from campaign.message.html import plaintext

                text = plaintext.from_html(html)
            html, images = self._images.attach(html, self._shows)
        except UserError as error:
            what = "; ".join(problem.message for problem in error.problems)
            place = self._place_of(error.written if isinstance(error, ImageError | SheetError) else "")
            raise UserError(replace(place, message=what)) from None
        return text, html, images

    def _place_of(self, written: str) -> Problem:
        """Return the file and line of a source that contains `written`, or just the body's file."""
        file = next(self._file[kind] for kind in ("html", "mjml", "markdown") if kind in self._file)
        for text in (self._markdown, self._html):
            for name, source in text.sources.items() if text is not None and written else ():
                path = self._content.folder / name
                if written in source and path.is_file():
                    return Problem("", shown(path), source.partition(written)[0].count("\n") + 1)
        return Problem("", shown(file))

    def _html_files(self) -> Iterator[tuple[str, str]]:
        """Yield the name and the source of each template file that the HTML is made from."""
        for name, source in self._html.sources.items() if self._html is not None else ():
            yield shown(self._content.folder / name), source

    def _read_sheets(self) -> Iterator[str]:
        """Yield the text of each local style sheet that a template names; add to `problems`."""
        for file, source in self._html_files():
            for sheet in named_sheets(source):
                try:
                    if sheet.is_local:
                        yield self._sheets.linked(sheet.address)
                except UserError as error:
                    self.problems += [
                        replace(one, file=file, line=source.count("\n", 0, sheet.offset) + 1)
                        for one in error.problems
                    ]

    def _make_sheets(self) -> Sheets:
        """Return a reader of sheets: it searches the HTML template's folder, then the campaign's folder."""
        content = self._content
        files = [content.files.get(f"templates.{kind}") for kind in ("html", "mjml")]
        named = [content.template_name(file) for file in files if file is not None]
        return Sheets(self._read, [*(posixpath.dirname(name) for name in named), ""])

    def _read(self, name: str) -> str:
        """Return the text of a file, by its path from the campaign's folder."""
        try:
            return self._loader.get_source(Environment(autoescape=True), name)[0]
        except TemplateNotFound as error:
            raise UserError(str(error.message)) from None

    def _compile(self, kind: str, names: Names, *, html: bool) -> Text | None:
        file = self._content.files.get(f"templates.{kind}")
        if file is None:
            return None
        self._file[kind] = file
        env = environment(
            self._content.folder, html=html, markdown=kind == "markdown", private=self._content.private
        )
        place = self._content.problem(f"templates.{kind}", "")
        name = self._content.template_name(file)
        try:
            if kind == "mjml":
                self._loader.get_source(env, name)
                return self._compile_mjml(name, env, names)
            return compile_file(name, env=env, place=place, names=names)
        except TemplateNotFound as error:
            self.problems.append(replace(place, message=str(error.message)))
        except UserError as error:
            self.problems += error.problems
        return None

    def _compile_mjml(self, name: str, env: SandboxedEnvironment, names: Names) -> Text:
        """Return the compiled HTML of an MJML template. Problems and sources refer to the MJML."""

        def read(name: str) -> tuple[str, str]:
            return self._read(name), shown(self._loader.path(name))

        from campaign.message.html import mjml

        converted = mjml.to_html(name, read)
        self._from_mjml = converted.html
        place = Problem("", read(name)[1], path="templates.mjml")

        def at_source(found: UserError) -> UserError:
            return type(found)(
                *(converted.at_source(one) if one.path == place.path else one for one in found.problems)
            )

        try:
            text = compile_text(converted.html, env=env, place=place, names=names)
        except UserError as error:
            raise at_source(error) from None

        def render(context: Mapping[str, object]) -> str:
            try:
                return text.render(context)
            except UserError as error:
                raise at_source(error) from error

        included = {name: source for name, source in text.sources.items() if name != place.path}
        where = {column: converted.at_source(one) for column, one in text.shown.items()}
        return replace(
            text, shown=where, sources={**converted.sources, **included}, constant=None, _render=render
        )
