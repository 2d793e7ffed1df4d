"""Selects the templates that recipients see the result of, and returns their sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from campaign.templating.text import Text


def shown_texts(inline: Mapping[str, Text], bodies: Mapping[str, Text]) -> tuple[Text, ...]:
    """Return the templates of subject, preheader, parameters of links, and bodies."""
    extras = [text for path, text in inline.items() if path == "preheader" or path.startswith("utm.")]
    return (inline["subject"], *extras, *bodies.values())


def html_texts(bodies: Mapping[str, Text]) -> list[Text]:
    """Return the templates that HTML is made from."""
    return [text for kind, text in bodies.items() if kind not in ("text", "calendar")]


def html_sources(bodies: Mapping[str, Text]) -> dict[str, str]:
    """Return the sources that HTML is made from, by path from the campaign's folder."""
    return sources(html_texts(bodies))


def sources(texts: Iterable[Text]) -> dict[str, str]:
    """Return the sources of templates, by file, or by key if they are in the campaign file."""
    return {name: source for text in texts for name, source in text.sources.items()}
