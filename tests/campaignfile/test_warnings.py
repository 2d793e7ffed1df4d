"""What is odd in a campaign file, and where the file of a secret is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from campaign.campaignfile.load import load
from campaign.errors import Problem, UserError

TEXT = """\
name: spring
recipients: list.csv
from: news@example.com
subject: Hello
templates: {text: body.txt}
smtp: {host: smtp.example.com, username: ann, password_file: ../none}
vars:
  price: 18.00
  prices: [1.5, 1_000, "2.50", 3]
  flag: yes
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "list.csv").write_text("email\n")
    (folder / "body.txt").write_text("Hello")
    (folder / "campaign.yaml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    return folder / "campaign.yaml"


def test_warnings(file: Path) -> None:
    quotes = "put it in quotes to keep it as it is"
    assert [str(problem) for problem in load(file).warnings] == [
        f"a/b/campaign.yaml:8:10: warning: vars.price: YAML reads 18.00 as 18.0; {quotes}",
        f"a/b/campaign.yaml:9:17: warning: vars.prices, entry 2: YAML reads 1_000 as 1000; {quotes}",
        "a/b/campaign.yaml:6:62: warning: smtp.password_file: there is no file a/none",
    ]


@pytest.mark.parametrize(
    ("subject", "told"),
    [
        ("&co news", ["'&co'"]),
        ("! Hello", ["'!'"]),
        ("'&co news'", []),
        ("Rock & Roll!", []),
        ("&co news\nheaders: {X-News: *co}", []),
    ],
)
def test_a_text_whose_beginning_yaml_keeps_for_itself(file: Path, subject: str, told: list[str]) -> None:
    text = TEXT[: TEXT.index("vars")].replace(", username: ann, password_file: ../none", "")
    file.write_text(text.replace("Hello", subject))
    assert [str(problem) for problem in load(file).warnings] == [
        f"a/b/campaign.yaml:4:10: warning: subject: YAML takes {begun} for syntax; put the value in quotes"
        for begun in told
    ]


def test_the_missing_file_of_a_secret_is_named_with_its_place(file: Path) -> None:
    source = load(file).smtp.secret
    assert source is not None
    with pytest.raises(UserError) as caught:
        source.read()
    assert str(caught.value) == (
        "a/b/campaign.yaml:6:62: smtp.password_file: a/none: No such file or directory"
    )


def test_entries_are_counted_from_one() -> None:
    assert str(Problem("is odd", path="attachments.0")) == "attachments, entry 1: is odd"
    assert str(Problem("is odd", path="vars.a.1.2.b")) == "vars.a, entry 2, entry 3, b: is odd"


def test_a_problem_is_one_line_whatever_it_names() -> None:
    assert str(Problem("its columns are Total\r\n(EUR), a\tb", "a\nb.csv", 1)) == (
        "a\\nb.csv:1: its columns are Total\\r\\n(EUR), a\\tb"
    )


@pytest.mark.parametrize(
    ("subject", "told"),
    [
        ("Offer #5 for you", ["'#5 for you'"]),
        ("Offer\t#5", ["'#5'"]),
        ('"Offer #5"', []),
        ("Offer#5", []),
        ("Offer # until May", []),
        ("'Offer' #until May", []),
    ],
)
def test_a_text_that_yaml_cuts_off_at_a_sign(file: Path, subject: str, told: list[str]) -> None:
    text = TEXT[: TEXT.index("vars")].replace("Hello", subject).replace(", password_file: ../none", " #x: y")
    file.write_text(text.replace("{host: smtp.example.com, username: ann #x: y}", "\n  host: x.test #tls"))
    warnings = [str(problem) for problem in load(file).warnings]
    assert warnings == [
        f"a/b/campaign.yaml:4:10: warning: subject: YAML takes {cut} for a comment; put the value in quotes,"
        " or write a space after the #"
        for cut in told
    ]


def test_variables_of_the_environment_are_errors_where_a_setting_names_them(file: Path) -> None:
    file.write_text(
        TEXT.replace("list.csv", "$LISTS/list.csv")
        .replace("smtp.example.com", "'${SMTP_HOST}'")
        .replace("ann, password_file: ../none", '"$SMTP_USER", password_command: [pass, $MAIL]')
        .replace("Hello", "Only $USD 5, ${name}")
    )
    what = "environment variables are not replaced in a campaign file; write the value instead of"
    with pytest.raises(UserError) as caught:
        load(file)
    assert [str(problem) for problem in caught.value.problems] == [
        f"a/b/campaign.yaml:2:13: recipients: {what} $LISTS",
        f"a/b/campaign.yaml:6:14: smtp.host: {what} ${{SMTP_HOST}}",
        f"a/b/campaign.yaml:6:40: smtp.username: {what} $SMTP_USER",
    ]


def test_variables_in_a_file_of_server_settings_are_named_there(file: Path) -> None:
    (file.parent / "smtp.yaml").write_text("host: $SMTP_HOST\n")
    file.write_text(TEXT[: TEXT.index("smtp:")] + "smtp: smtp.yaml\n")
    with pytest.raises(
        UserError, match=r"smtp\.yaml:1:7: smtp\.host: environment variables are not replaced"
    ):
        load(file)
