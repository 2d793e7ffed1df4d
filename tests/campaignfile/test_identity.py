"""A campaign's identity: what `load` says of it, and also where `load` finds something wrong."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from campaign.campaignfile.identity import identify
from campaign.campaignfile.load import load
from campaign.errors import UserError
from campaign.model import SECOND, Window

MINIMAL = """\
name: spring
recipients: list.csv
from: news@example.com
subject: Hello
templates: {text: body.txt.j2}
smtp: {host: smtp.example.com, rate: 14/second, ca_file: ca.pem}
"""
TEXT = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=12)
RATE = st.sampled_from(["14/second", ["2/second", "100/hour"], []])

WRONG_LEDGERS = ["", 7, {"postgresql_env": 1}, "postgresql://news:secret@db.example.com/mail"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spring")
    for name in ("list.csv", "body.txt.j2", "ca.pem", "key.pem", "terms.pdf"):
        (folder / name).write_text("email\nann@example.com\n")
    return folder


def of(text: str, folder: Path) -> Path:
    file = folder / "campaign.yaml"
    file.write_text(text, "utf-8")
    return file


def campaigns() -> st.SearchStrategy[dict[str, Any]]:
    columns = {"email": TEXT, "key": st.one_of(TEXT, st.lists(TEXT, min_size=1, max_size=3))}
    server = {
        "rate": RATE,
        "port": st.integers(1, 65535).filter(lambda port: port != 465),
        "ca_file": st.just("ca.pem"),
    }
    login = st.fixed_dictionaries({"username": TEXT, "password_file": st.just("secrets/none")})
    smtp = st.builds(
        lambda one, two: {**one, **two},
        st.fixed_dictionaries({"host": st.sampled_from(["a.example", "127.0.0.1"])}, optional=server),
        st.one_of(st.just({}), login),
    )
    required = {
        "name": st.one_of(TEXT, st.sampled_from(["yes", "12", " x ", ""])),
        "recipients": st.one_of(
            st.just("list.csv"), st.fixed_dictionaries({"csv": st.just("list.csv")}, optional=columns)
        ),
        "from": st.just("news@example.com"),
        "subject": st.just("Hello"),
        "templates": st.just({"text": "body.txt.j2"}),
        "smtp": smtp,
    }
    optional = {
        "rate": RATE,
        "ledger": st.sampled_from(
            [
                *("other.db", "/tmp/x.db", "~/x.db", "postgresql://news@db.example.com/mail"),
                {"postgresql_env": "CAMPAIGN_LEDGER"},
                *WRONG_LEDGERS,
            ]
        ),
        "attachments": st.just(["terms.pdf", {"path": "{{ file }}.pdf"}]),
        "dkim": st.just({"domain": "example.com", "selector": "s", "key_file": "key.pem"}),
    }
    return st.fixed_dictionaries(required, optional=optional)


@given(values=campaigns(), apart=st.booleans())
def test_it_agrees_with_load(folder: Path, values: dict[str, Any], apart: bool) -> None:
    if apart:  # the server's settings in a file of their own
        (folder / "smtp").mkdir(exist_ok=True)
        (folder / "smtp" / "ca.pem").touch()
        (folder / "smtp" / "server.yaml").write_text(yaml.safe_dump(values["smtp"]), "utf-8")
        values = {**values, "smtp": "smtp/server.yaml"}
    file = of(yaml.safe_dump(values, allow_unicode=True), folder)
    if values["name"] in ("", " ") or values.get("ledger") in WRONG_LEDGERS:
        refusals = []
        for read in (load, identify):
            with pytest.raises(UserError) as caught:
                read(file)
            refusals.append(caught.value.problems)
        assert refusals[0] == refusals[1]
        return
    campaign = load(file)
    identity = identify(file)
    assert (identity.file, identity.folder) == (campaign.file, campaign.folder)
    assert (identity.name, identity.ledger) == (campaign.name, campaign.ledger)
    assert (identity.email, identity.key) == (campaign.recipients.email, campaign.recipients.key)
    assert (identity.host, identity.username) == (campaign.smtp.host, campaign.smtp.username)
    assert identity.windows == campaign.windows
    assert set(campaign.private) <= identity.named_files


@pytest.mark.parametrize("sample", sorted(Path(__file__).parents[2].glob("templates/*/campaign.yaml")))
def test_it_agrees_with_load_on_the_samples(sample: Path) -> None:
    campaign, identity = load(sample), identify(sample)
    assert (identity.name, identity.ledger) == (campaign.name, campaign.ledger)
    assert (identity.email, identity.key) == (campaign.recipients.email, campaign.recipients.key)
    assert identity.windows == campaign.windows
    bodies = [path for _, path in campaign.templates if path is not None]
    assert {*campaign.private, *bodies} <= identity.named_files


def test_what_only_sending_needs_does_not_stop_it(folder: Path) -> None:
    text = MINIMAL.replace("list.csv", "gone.csv").replace("body.txt.j2", "gone.j2")
    text = text.replace("ca_file: ca.pem", "ca_file: gone.pem, port: smtps") + "unknown: 1\nsubject: again\n"
    identity = identify(of(text, folder))
    assert (identity.host, identity.windows) == ("smtp.example.com", (Window(14, SECOND),))
    assert {folder / name for name in ("gone.csv", "gone.j2", "gone.pem")} <= identity.named_files


@pytest.mark.parametrize("written", [None, "{", "- a", "host: [", "rate: fast"])
def test_a_server_that_cannot_be_read_is_unknown(written: str | None, folder: Path) -> None:
    (folder / "server.yaml").unlink(missing_ok=True)
    if written is not None:
        (folder / "server.yaml").write_text(written)
    identity = identify(of("name: spring\nsmtp: server.yaml\n", folder))
    assert (identity.host, identity.username, identity.windows) == (None, None, ())
    assert folder / "server.yaml" in identity.named_files


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("subject: x\n", ["1:1: name: is missing"]),
        ("name: 12\nledger: [x]\n", [
            "1:7: name: expected text, got 12; put it in quotes",
            "2:9: ledger: expected a path, got a list",
        ]),
        ("name: ''\n", ["1:7: name: is blank"]),
        ("name: a\nname: b\n", ["2:1: name: duplicate key; it was first set in line 1"]),
        ("name: !x a\n", ["1:7: name: the tag !x is not supported here; remove it"]),
        (f"name: {'a' * 101}\n", ["1:7: name: is too long"]),
        ("- a\n", ["1:1: this is not a set of keys and values; a campaign file begins with keys such as"
                   " `name:` and `recipients:`"]),
    ],
)  # fmt: skip
def test_what_is_wrong(text: str, words: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(UserError) as caught:
        identify(of(text, folder))
    assert [str(problem) for problem in caught.value.problems] == [f"campaign.yaml:{what}" for what in words]


def loaded(arguments: list[str], folder: Path) -> set[str]:
    """Run a command in a process of its own; return the modules that it has imported."""
    program = f"import sys; from campaign.cli import main; code = main({arguments!r}); print()\n"
    program += "print(sorted(sys.modules)); sys.exit(code)"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True
    )
    return set(ast.literal_eval(run.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["status", "campaign.yaml"], {"pydantic", "jinja2", "tenacity", "psycopg"}),
        (
            ["suppress", "list", "--ledger", "ledger.db"],
            {"pydantic", "jinja2", "tenacity", "yaml", "psycopg"},
        ),
        (["schema"], {"jinja2", "tenacity"}),
    ],
    ids=["status", "suppress", "schema"],
)
def test_commands_import_what_they_need(arguments: list[str], unwanted: set[str], tmp_path: Path) -> None:
    of(MINIMAL, tmp_path)
    add = [sys.executable, "-m", "campaign", "suppress", "add", "ann@example.com", "--campaign"]
    subprocess.run([*add, "campaign.yaml"], cwd=tmp_path, check=True, capture_output=True)
    assert loaded(arguments, tmp_path) & unwanted == set()


def test_commands_work_when_what_sending_needs_is_gone(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "spring", symlinks=True)
    here = tmp_path / "spring"
    of(MINIMAL, here)

    def run(*arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "campaign", *arguments], cwd=here, capture_output=True, text=True
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    run("suppress", "add", "ann@example.com", "--campaign", "campaign.yaml")
    for name in ("ca.pem", "list.csv", "body.txt.j2"):
        (here / name).unlink()
    assert "nothing was sent yet" in run("status", "campaign.yaml")
    assert "ann@example.com" in run("suppress", "list", "--campaign", "campaign.yaml")
    assert "is one of the campaign's own files" in run("export", "campaign.yaml", "-o", "body.txt.j2", code=2)
    for command in (["export"], ["resolve"], ["report"]):
        said = run(command[0], "campaign.yaml", code=2 if command == ["report"] else 0)
        assert "there is no file" not in said
    run("forget", "ben@example.com", "--campaign", "campaign.yaml")


def test_columns_are_named_as_load_names_them(folder: Path) -> None:
    """A name that is typed decomposed, as on a Mac."""
    text = MINIMAL.replace(
        "recipients: list.csv", 'recipients: {csv: list.csv, email: "fu\\u0308r", key: "u\\u0308"}'
    )
    file = of(text, folder)
    assert (identify(file).email, identify(file).key) == ("f\u00fcr", ("\u00fc",))
    assert load(file).recipients.email == "f\u00fcr"
