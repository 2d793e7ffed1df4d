"""Compiles the templates of header fields and file names, by their places in the campaign file.

Problems are collected, so that all problems of a campaign are raised together.
"""

from __future__ import annotations

from campaign.errors import Problem, UserError
from campaign.message.content import Content
from campaign.model import ITEM
from campaign.templating.compiled import compile_file, compile_text
from campaign.templating.expressions import compile_list
from campaign.templating.names import Names
from campaign.templating.sandbox import environment
from campaign.templating.text import Items, Text

SUBJECT = "templates.subject"
"""The place of a subject in its own file."""


class InlineTemplates:
    """`texts` are the valid templates, in the campaign file's order; `problems` are those of the others.

    `lists` are the templates that give a list.
    """

    def __init__(self, content: Content, names: Names) -> None:
        self.problems: list[Problem] = []
        self.texts: dict[str, Text] = {}
        self.lists: dict[str, Items] = {}
        members = {place for members in content.lists.values() for place in members}
        of_items = Names(names.columns, names.others | {ITEM})
        env = environment(content.folder, html=False, private=content.private)
        for path in (*content.inline, *([SUBJECT] if SUBJECT in content.files else [])):
            place = content.problem(path, "")
            try:
                if path == SUBJECT:
                    name = content.template_name(content.files[path])
                    self.texts["subject"] = compile_file(name, env=env, place=place, names=names)
                elif path in content.lists:
                    self.lists[path] = compile_list(content.inline[path], env=env, place=place, names=names)
                    self.texts[path] = self.lists[path].text
                else:
                    known = of_items if path in members else names
                    self.texts[path] = compile_text(content.inline[path], env=env, place=place, names=known)
            except UserError as error:
                self.problems += error.problems
