"""What the reading of bounces needs of a campaign file, whatever else is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.campaignfile.listening import listening
from campaign.errors import UserError
from tests.markdown import ROOT

BAD = ROOT / "tests" / "bad_campaigns"


def test_the_list_and_the_templates_may_be_gone(tmp_path: Path) -> None:
    file = tmp_path / "campaign.yaml"
    file.write_text(
        """
name: spring
recipients: gone.csv
from: News <news@example.com>
templates: {text: gone.txt}
smtp: {host: [wrong]}
unsubscribe: {mailto: "leave+{{ bounce.token }}@example.com"}
suppress: off
bounces: {soft: 2 in 1d, imap: {host: imap.example.com, username: b, password_file: key}}
"""
    )
    found = listening(file)
    assert found.identity.ledger == tmp_path / "ledger.db"
    assert found.bounces.soft == (2, 86_400)
    assert found.suppress is False
    assert found.mailto == "leave+{{ bounce.token }}@example.com"
    assert found.bounces.imap is not None
    secret = found.bounces.imap.secret
    assert secret is not None
    with pytest.raises(UserError, match=r"campaign.yaml:9:\d+: bounces.imap.password_file: .*No such file"):
        secret.read()


def test_what_is_not_written_has_its_default(tmp_path: Path) -> None:
    (tmp_path / "campaign.yaml").write_text("name: spring\n")
    found = listening(tmp_path / "campaign.yaml")
    assert (found.bounces.imap, found.bounces.soft) == (None, (3, 30 * 86_400))
    assert (found.suppress, found.mailto) == (True, "")


def test_what_is_wrong_is_said_in_the_words_of_check(monkeypatch: pytest.MonkeyPatch) -> None:
    case = BAD / "bounces"
    monkeypatch.chdir(case)
    with pytest.raises(UserError) as caught:
        listening(Path("campaign.yaml"))
    assert f"{caught.value}\n" == (case / "expected-error").read_text("utf-8")


@pytest.mark.parametrize(
    ("yaml", "words"),
    [
        ("name: spring\nbouncse: {soft: 3 in 30d}", "did you mean 'bounces'?"),
        ("name: spring\nbounces: 3", "bounces: expected keys and values"),
        ("name: spring\nsuppress: perhaps", "suppress: expected auto or off"),
        ("nmae: spring", "name: is missing"),
        ("name: spring\nbounces: {soft: 0 in 30d}", "such as 3 in 30d"),
        ("name: [", "campaign.yaml:1:8"),
    ],
)
def test_a_typo_is_an_error(tmp_path: Path, yaml: str, words: str) -> None:
    (tmp_path / "campaign.yaml").write_text(yaml)
    with pytest.raises(UserError, match=words.replace("?", r"\?")):
        listening(tmp_path / "campaign.yaml")
