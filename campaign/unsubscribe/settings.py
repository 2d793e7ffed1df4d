"""Read the values of a campaign file that the unsubscribe page needs: the ledger, an address, texts.

It reads few values, as `campaignfile.identity` does: the web server needs neither the list nor the
templates, and no key or password.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from campaign.address import AddressError, parse_mailbox
from campaign.campaignfile.identity import identify
from campaign.campaignfile.location import Location
from campaign.campaignfile.readers import is_template
from campaign.campaignfile.yamlmarks import read
from campaign.errors import UserError


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the page.

    `mailto` is the address to write to if the page cannot help, or "": that of `unsubscribe.mailto`, or
    else of `reply_to` or `from`, the first that is the same for every row. `texts` are the campaign file's
    own texts by language (see `pages`).
    """

    name: str
    ledger: Location
    mailto: str
    texts: Mapping[str, Mapping[str, str]]


def read_settings(file: Path) -> Settings:
    """Read the campaign file.

    Raises UserError if it cannot be read, or if its links have a token that the ledger does not know.
    """
    identity = identify(file)
    document = read(identity.file)
    values = document.value
    unsubscribe = values.get("unsubscribe") if isinstance(values, dict) else None
    unsubscribe = unsubscribe if isinstance(unsubscribe, dict) else {}
    if "unsubscribe.token" in str(unsubscribe.get("url", "")):
        what = (
            "links with unsubscribe.token are for a page of your own, which shares its secret; this page"
            " needs {{ bounce.token }}: write that instead"
        )
        raise UserError(document.problem(("unsubscribe", "url"), what))
    texts = unsubscribe.get("texts")
    return Settings(
        identity.name,
        identity.ledger,
        _write_to(unsubscribe.get("mailto"), values),
        {
            str(language).lower(): {name: text for name, text in own.items() if isinstance(text, str)}
            for language, own in (texts.items() if isinstance(texts, dict) else ())
            if isinstance(own, dict)
        },
    )


def _write_to(mailto: object, values: object) -> str:
    if isinstance(mailto, str) and mailto and not is_template(mailto):
        return mailto
    for key in ("reply_to", "from"):
        value = values.get(key) if isinstance(values, dict) else None
        if isinstance(value, str) and not is_template(value):
            with suppress(AddressError):
                return parse_mailbox(value).address
    return ""
