"""Refuses, before anything is read, what prevents sending whatever the list contains.

That is another file of this name, a rate that no message fits into, and certificates that cannot be used.
"""

from __future__ import annotations

from pathlib import Path

from campaign.campaignfile.load import load
from campaign.campaignfile.location import same_ledger
from campaign.campaignfile.models import CampaignFile
from campaign.errors import ConnectFailed, Problem, UserError
from campaign.ledger import Ledger
from campaign.sending.account import too_narrow


def refuse_other_file(campaign: CampaignFile, ledger: Ledger) -> None:
    """Raise UserError if another campaign file uses this name in the same ledger."""
    other = other_file(campaign, ledger.known_file)
    if other is not None:
        what = f"{other} has this name too, in the same ledger; names are identities: rename one"
        raise UserError(campaign.problem("name", what))


def other_file(campaign: CampaignFile, known: Path | None) -> Path | None:
    """Return the file that the ledger knows under this name, if it is another one and still exists.

    A renamed or moved file keeps its history.
    """
    if known is None or not known.is_file() or known.samefile(campaign.file):
        return None
    try:
        other = load(known)
    except UserError:
        return known  # unreadable, but it may have this name
    same = other.name == campaign.name and same_ledger(other.ledger, campaign.ledger)
    return known if same else None


def unsendable(campaign: CampaignFile) -> list[Problem]:
    """Return the problems that prevent sending a campaign, whatever its list contains."""
    problems = too_narrow(campaign)
    if campaign.workers is not None and isinstance(campaign.ledger, Path):
        what = "workers share a ledger in PostgreSQL (`ledger: postgresql://host/database`)"
        problems.append(campaign.problem("workers", f"{what}, and this one is a file"))
    return [*problems, *_unusable_certificates(campaign)]


def _unusable_certificates(campaign: CampaignFile) -> list[Problem]:
    """Return the problem of the files for TLS, where the campaign file names some."""
    files = campaign.smtp.ca_file, campaign.smtp.client_cert, campaign.smtp.client_key
    if not any(files):
        return []
    from campaign.sending.network.tls import tls_context

    try:
        tls_context(*files)
    except ConnectFailed as error:
        return [campaign.problem(error.path, str(error))]
    return []
