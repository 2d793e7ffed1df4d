"""`campaign preview`: show real messages of real recipients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from campaign.cli.codes import OK, USAGE
from campaign.cli.options import FORCE, WRITTEN
from campaign.cli.output import Output, echo
from campaign.errors import Overrun, Problem, UserError
from campaign.wording import counted

if TYPE_CHECKING:
    from campaign.campaignfile.models import CampaignFile
    from campaign.delivery import Message
    from campaign.message.render import Renderer
    from campaign.message.tokens import Secrets
    from campaign.ownfiles import OwnFiles
    from campaign.preview.page import Previewed
    from campaign.preview.variety import Chosen
    from campaign.recipients.list import Recipients
    from campaign.survey import Tally


@click.command("preview")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--row", type=click.IntRange(min=1), metavar="N", help="The Nth data record of the list.")
@click.option("--to", "address", metavar="ADDRESS", help="The row of this address.")
@click.option(
    "--pick",
    type=click.IntRange(1, 500),
    metavar="N",
    help="N rows that differ: first, last, long and short names, blank cells, other scripts.",
)
@click.option(
    "--html",
    "page",
    type=WRITTEN,
    metavar="PATH",
    help="Write one self-contained page; by default with 8 rows that differ.",
)
@click.option(
    "--eml",
    "folder",
    type=WRITTEN,
    metavar="DIR",
    help="Write the exact bytes of each message into DIR; by default for all rows.",
)
@click.option(
    "--open", "opens", is_flag=True, help="Open the page, or the first .eml file; alone, a temporary page."
)
@click.option(
    "--page",
    "web_row",
    type=click.IntRange(min=1),
    metavar="N",
    help="Write only the HTML of the Nth row, to put online; with -o PATH.",
)
@click.option("--output", "-o", type=WRITTEN, metavar="PATH", help="Where --page writes.")
@click.option("--load-images", is_flag=True, help="Let the page load images from the network.")
@FORCE
def command(
    file: Path,
    row: int | None,
    address: str | None,
    pick: int | None,
    page: Path | None,
    folder: Path | None,
    opens: bool,
    web_row: int | None,
    output: Path | None,
    load_images: bool,
    force: bool,
) -> int:
    """Show real messages of real recipients: by default that of the first row, on the terminal.

    Nothing is sent, no connection is opened, and no password, token or secret command is run. A
    message that needs such a secret shows a placeholder, and a note says so. --pick looks at the list's
    first 20,000 rows.

    --page writes the HTML of a row's message for a browser, with its images embedded. Its unsubscribe link
    and other tokens are those of a test message, so they belong to nobody.

    Pages and .eml files of an earlier preview are overwritten; any other file only with --force, and
    the campaign's own files never.
    """
    if sum(choice is not None for choice in (row, address, pick)) > 1:
        raise click.UsageError("give only one of --row, --to and --pick")
    if page is not None and folder is not None:
        raise click.UsageError("give only one of --html and --eml")
    if (web_row is None) != (output is None):
        raise click.UsageError("--page and -o belong together: --page 1 -o view.html")
    from campaign.message import drafting

    drafting.begin()
    from campaign.outfile import is_regular
    from campaign.ownfiles import OwnFiles
    from campaign.preparation import compile_campaign
    from campaign.preview.choice import ON_A_PAGE, Choice, choose
    from campaign.preview.page import page as build_page
    from campaign.sending.preflight.reading import read
    from campaign.survey import Tally

    campaign = read(file)
    own = OwnFiles(campaign.file)
    secrets, notes = _secrets(campaign)
    recipients, renderer = compile_campaign(campaign, secrets)
    if web_row is not None and output is not None:
        _web_page(campaign, recipients, renderer, web_row, output, own, force=force)
        return OK
    screen, problems = Output(), Tally()
    if page is None and folder is None and opens:
        page = _temporary()
    choice = Choice(row, address, pick, every=folder is not None)
    if page is not None and choice.is_open:
        choice = Choice(pick=ON_A_PAGE)
    chosen = choose(campaign, recipients, choice, problems, screen.progress)
    messages = _rendered(renderer, chosen, problems)
    if folder is not None:
        count, shown = _write(folder, messages, own, force=force)
        said = f"{counted(count, 'message')} written to {folder}"
    elif page is not None:
        page = page if page.suffix or not is_regular(page) else page.with_suffix(".html")
        previewed = _examined(campaign, recipients, renderer, list(messages))
        text = build_page(campaign.name, previewed, notes, load_images=load_images) if previewed else ""
        count, shown = len(previewed), page
        _write_page(page, text, own, force=force)
        said = f"{counted(count, 'message')} on {page}"
    else:
        count, said, shown = _show(recipients.file, messages, screen), "", None
    screen.end_bar()
    if not count:
        raise UserError(*(problems.shown or [Problem("the list has no row to preview", recipients.file)]))
    _say(said, page)
    for note in notes if page is None else ():
        echo(f"note: {note}", err=True)
    screen.problems(problems.shown)
    if problems.beyond:
        echo(f"error: and {problems.beyond:,} more", err=True)
    if opens and shown is not None:
        _open(shown)
    return USAGE if problems.count else OK


def _secrets(campaign: CampaignFile) -> tuple[Secrets, list[str]]:
    """Return the ledger's secret if there is a ledger, and notes about placeholders."""
    from campaign.ledger import Ledger
    from campaign.message.tokens import Secrets

    secrets, notes = Secrets.placeholder(), []
    if Ledger.exists(campaign.ledger):
        ledger = Ledger.open(campaign.ledger, campaign.name, campaign.file, create=False, read_only=True)
        secrets = Secrets(ledger.secret, secrets.unsubscribe)
        ledger.close()
    else:
        notes.append(
            "there is no ledger yet: Message-IDs and bounce tokens will differ from those that are shown"
        )
    if campaign.unsubscribe is not None and campaign.unsubscribe.secret is not None:
        notes.append("the unsubscribe token is a placeholder: its secret is not read for a preview")
    return secrets, notes


def _rendered(
    renderer: Renderer, chosen: Iterable[Chosen], problems: Tally
) -> Iterator[tuple[Chosen, Message]]:
    """Yield the messages of the chosen rows; the problems of the others are added to `problems`."""
    from datetime import UTC, datetime

    for one in chosen:
        try:
            yield one, renderer.render(one.recipient, date=datetime.now(UTC))
        except Overrun:  # any other row would fail in the same way
            raise
        except UserError as error:
            problems.add(error.problems)


def _show(file: str, messages: Iterable[tuple[Chosen, Message]], output: Output) -> int:
    from campaign.preview.opened import open_message
    from campaign.preview.terminal import lines

    count = 0
    for chosen, message in messages:
        output.end_bar()
        if count:
            echo("\n" + "─" * 72 + "\n")
        for line in lines(chosen, open_message(message), file, "--html PAGE or --open"):
            echo(line)
        count += 1
    return count


def _write(
    folder: Path, messages: Iterable[tuple[Chosen, Message]], own: OwnFiles, *, force: bool
) -> tuple[int, Path | None]:
    from campaign.preview.files import make_folder, write_message

    first, count = None, 0
    make_folder(folder)
    for _, message in messages:
        path = write_message(folder, message, own, force=force)
        first = first or path
        count += 1
    return count, first


def _examined(
    campaign: CampaignFile,
    recipients: Recipients,
    renderer: Renderer,
    messages: Sequence[tuple[Chosen, Message]],
) -> list[Previewed]:
    """Return the rows with the findings of `check` in each message."""
    from campaign.checks.running import Checks
    from campaign.preview.opened import open_message
    from campaign.preview.page import Previewed
    from campaign.survey import Survey

    checks = Checks(campaign)
    checks.begin(recipients, renderer, Survey())
    for chosen, message in messages:
        checks.look(chosen.recipient, message)
    found = [problem for problem in checks.report() if problem.rows is not None]
    return [
        Previewed(
            chosen,
            open_message(message),
            tuple(p for p in found if p.rows is not None and chosen.recipient.number in p.rows),
        )
        for chosen, message in messages
    ]


def _write_page(path: Path, text: str, own: OwnFiles, *, force: bool) -> None:
    from campaign.outfile import writing
    from campaign.preview.page import PREVIEW

    if text:
        with writing(path, PREVIEW, own, force=force) as out:
            out.write(text.encode())


def _web_page(
    campaign: CampaignFile,
    recipients: Recipients,
    renderer: Renderer,
    number: int,
    path: Path,
    own: OwnFiles,
    *,
    force: bool,
) -> None:
    """Write a row's HTML as a page. Raises UserError if it has none."""
    from datetime import UTC, datetime

    from campaign.outfile import writing
    from campaign.preview.choice import numbered
    from campaign.preview.frame import with_images
    from campaign.preview.opened import open_message
    from campaign.preview.page import WEB_PAGE

    recipient = numbered(campaign, recipients, number)
    opened = open_message(renderer.render(recipient, date=datetime.now(UTC), test_to=recipient.email))
    if opened.html is None:
        raise UserError(Problem("the message has no HTML part to put online", recipients.file))
    with writing(path, WEB_PAGE, own, force=force) as out:
        out.write(with_images(opened.html, opened.images).encode())
    _say(f"row {number} written to {path}", path)


def _say(said: str, page: Path | None) -> None:
    """Print what was written; on stderr if the page itself went to stdout or another stream."""
    from campaign.outfile import is_regular

    if said:
        echo(said, err=page is not None and not is_regular(page))


def _temporary() -> Path:
    """Return the path for a page in a private folder."""
    from tempfile import mkdtemp

    return Path(mkdtemp(prefix="campaign-preview-")) / "preview.html"


def _open(path: Path) -> None:
    """Open a page in the browser, or a message in the mail program."""
    import webbrowser

    if path.suffix == ".eml":
        click.launch(str(path))
    else:
        webbrowser.open(path.resolve().as_uri())
