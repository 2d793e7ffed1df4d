"""Rules know the pieces of earlier messages again; what they find in a message stays the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from campaign.campaignfile.load import load
from campaign.checks.checked import Checked, Facts
from campaign.checks.rules import mergetags, textpart
from campaign.checks.seen import Seen
from campaign.checks.sources import Sources
from campaign.message import mime
from campaign.message.content import content_of
from campaign.model import Recipient
from tests.folder import write_campaign

HEAD = b"Subject: hello\r\nMIME-Version: 1.0\r\n\r\n"
MARK = b"--=_"
ROW = Recipient(1, 2, "ann@x.test", "ann@x.test", "", {})
HTML = [
    "<p>", "</p>", "<b>", "</b>", "<br>", "{first}", "[first, fallback=", "you]", "<<first>>", "<<", ">>",
    "{contactfield=first|", "}", "%first%", "%", "&lt;&lt;first&gt;&gt;", "<%= first %>", "x\n", "width:100%",
    "one letter about swifts", "and another about many boats",
]  # fmt: skip
LINES = [
    "one letter about swifts over every roof this early morning, written by people",
    "and another about many boats that nobody ordered from anyone anywhere at all",
    "*|FNAME|*", "hello {first}", "hello", "",
]  # fmt: skip
MESSAGES = st.lists(
    st.tuples(
        st.lists(st.sampled_from(LINES), max_size=4).map("\n".join),
        st.lists(st.sampled_from(HTML), max_size=12).map("".join),
    ),
    min_size=1,
    max_size=6,
)


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    files = {"list.csv": "email,first\nann@x.test,Ann\n", "body.txt": "Hi", "body.html": "<p>Hi</p>"}
    parts = {"text": "body.txt", "html": "body.html"}
    campaign = load(write_campaign(Path(tmp_path_factory.mktemp("campaign")), files, templates=parts))
    content = content_of(campaign, ("email", "first"), MARK)
    html = {"body.html": "<p>Hi</p>"}
    return Checked(content, Facts("list.csv", "x.test", False, None), Sources(content, html, {}))


@pytest.mark.parametrize("rule", [mergetags, textpart])
@example(messages=[("", "[first, fallback=<b>"), ("", "[first, fallback=<b>you]")])
@example(messages=[("", "{contactfield=first|<b>"), ("", "{contactfield=first|<b>you}")])
@example(messages=[("", "<<b>"), ("", "<<first>>")])
@given(messages=MESSAGES)
def test_earlier_messages_make_no_difference(
    rule: object, checked: Checked, messages: list[tuple[str, str]]
) -> None:
    kept = rule.Check(checked, "rule")  # type: ignore[attr-defined]
    for text, html in messages:
        chunks = (HEAD, mime.text_part("plain", text, MARK), mime.text_part("html", html, MARK))
        alone = rule.Check(checked, "rule")  # type: ignore[attr-defined]
        assert [*kept.see(ROW, Seen(chunks))] == [*alone.see(ROW, Seen(chunks))]
