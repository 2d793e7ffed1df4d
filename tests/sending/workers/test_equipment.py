"""What workers report as missing for a campaign: names only, never a secret; nothing is executed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from campaign.campaignfile.load import load
from campaign.campaignfile.models import CampaignFile
from campaign.errors import UserError
from campaign.sending.preflight.inquiries import inspect_workers
from campaign.sending.workers import equipment
from campaign.sending.workers.accounts import load_accounts
from campaign.sending.workers.equipment import Needs, differing, missing
from tests.folder import write_campaign
from tests.message.test_dkim import key_of, pem
from tests.servers.postgresql import PostgreSQL

_SINCE = ("port", "security", "authorities")  # of a question; earlier releases do not report them
SECRET = "a-secret-that-nobody-sees"


@pytest.fixture
def campaign(tmp_path: Path) -> CampaignFile:
    return write(tmp_path)


def write(folder: Path, **changes: Any) -> CampaignFile:
    (folder / "dkim.pem").write_bytes(pem(key_of("s1")))
    values = {
        "recipients": "list.csv",
        "smtp": {"host": "mail.example.com", "username": "news", "password_env": "MAIL"},
        "dkim": {"domain": "example.com", "selector": "s1", "key_file": "dkim.pem"},
        "unsubscribe": {"url": "https://x.test/{{ unsubscribe.token }}", "secret_env": "TOKENS"},
        "workers": {},
        **changes,
    }
    write_campaign(folder, file="campaign.yaml", **values)
    return load(folder / "campaign.yaml")


def lacks(campaign: CampaignFile, folder: Path, **changes: Any) -> list[str]:
    """Return what a worker with such an account lacks."""
    (folder / "tokens").write_text(SECRET)
    (folder / "worker.pem").write_bytes(pem(key_of("s1")))
    account = {
        "smtp": {"host": "mail.example.com", "username": "news", "password_file": "tokens"},
        "dkim": {"domain": "example.com", "selector": "s1", "key_file": "worker.pem"},
        "unsubscribe": {"secret_file": "tokens"},
        **changes,
    }
    kept = {key: value for key, value in account.items() if value is not None}
    (folder / "accounts.yaml").write_text(yaml.safe_dump({"accounts": {"news@mail.example.com": kept}}))
    found = list(missing(Needs.of(campaign), load_accounts(folder / "accounts.yaml")))
    assert SECRET not in str(found)
    return found


def test_a_complete_worker_lacks_nothing(campaign: CampaignFile, tmp_path: Path) -> None:
    assert lacks(campaign, tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"smtp": {"host": "mail.example.com", "username": "news", "password_env": "NO_SUCH"}}, "NO_SUCH is"),
        ({"smtp": {"host": "mail.example.com", "username": "news", "password_file": "gone"}}, "gone"),
        ({"smtp": {"host": "mail.example.com", "username": "news", "password_command": ["gone"]}}, "'gone'"),
        (
            {"smtp": {"host": "mail.example.com", "username": "all", "password_env": "PATH"}},
            "all@mail.example.com here",
        ),
        ({"smtp": {"port": 1}}, "smtp.host"),
        ({"dkim": None}, "no DKIM key s1 of example.com"),
        ({"dkim": {"domain": "example.com", "selector": "s1", "key_file": "tokens"}}, "key"),
        ({"dkim": {"domain": "example.com", "selector": "s1", "key_file": "gone"}}, "dkim.key_file"),
        ({"unsubscribe": None}, "no unsubscribe secret"),
        ({"unsubscribe": {"secret_env": "NO_SUCH"}}, "NO_SUCH is not set"),
        ({"attachments_root": "gone"}, "gone for its attachments does not exist"),
    ],
)
def test_missing_things_are_named(
    campaign: CampaignFile, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    found = lacks(campaign, tmp_path, **changes)
    assert [said in one for one in found if said in one], found


@pytest.mark.parametrize(
    ("theirs", "ours", "said"),
    [
        ({}, {"port": 2525}, ["has port 2525 (starttls) here, and the campaign file 587 (starttls)"]),
        ({}, {"port": 465}, ["has port 465 (tls) here, and the campaign file 587 (starttls)"]),
        (
            {"ca_file": "one"},
            {},
            ["trusts the system's authorities here, and the campaign file its ca_file"],
        ),
        (
            {},
            {"ca_file": "one"},
            ["trusts its ca_file here, and the campaign file the system's authorities"],
        ),
        ({"ca_file": "one"}, {"ca_file": "two"}, ["trusts another ca_file here than the campaign file"]),
        ({"ca_file": "one"}, {"ca_file": "as-one"}, []),
    ],
)
def test_differences_are_reported_but_are_not_errors(
    tmp_path: Path, theirs: dict[str, Any], ours: dict[str, Any], said: list[str]
) -> None:
    for name, bodies in {"one": ["b25l", "dHdv"], "two": ["b25l"], "as-one": ["dHd\nv", "b25l"]}.items():
        marked = (f"-----BEGIN CERTIFICATE-----\n{one}\n-----END CERTIFICATE-----\n" for one in bodies)
        (tmp_path / f"{name}").write_text(f"# {name}\n{''.join(marked)}")
    smtp = {"host": "mail.example.com", "username": "news", "password_env": "PATH"}
    campaign = write(tmp_path, smtp={**smtp, **theirs})
    assert lacks(campaign, tmp_path, smtp={**smtp, **ours}) == []
    needs, accounts = Needs.of(campaign), load_accounts(tmp_path / "accounts.yaml")
    assert list(differing(needs, accounts)) == [f"the account 'news@mail.example.com' {one}" for one in said]
    earlier = json.dumps({key: value for key, value in asdict(needs).items() if key not in _SINCE})
    assert list(differing(Needs.read(earlier) or needs, accounts)) == []


def test_no_command_is_run_and_no_pipe_is_read(campaign: CampaignFile, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    smtp = {"host": "mail.example.com", "username": "news"}
    ran = tmp_path / "ran"
    assert lacks(campaign, tmp_path, smtp={**smtp, "password_command": ["touch", str(ran)]}) == []
    assert lacks(campaign, tmp_path, smtp={**smtp, "password_file": "pipe"}) == []
    assert not ran.exists()


def test_an_account_named_by_the_campaign_needs_no_other_name(tmp_path: Path) -> None:
    smtp = {"host": "mail.example.com", "username": "news", "password_env": "MAIL", "account": "shared"}
    campaign = write(tmp_path, smtp=smtp, dkim=None, unsubscribe={"mailto": "leave@example.com"})
    (tmp_path / "accounts.yaml").write_text(
        yaml.safe_dump({"accounts": {"shared": {"smtp": {"host": "other.example.com"}}}})
    )
    accounts = load_accounts(tmp_path / "accounts.yaml")
    assert list(missing(Needs.of(campaign), accounts)) == []
    nobody = replace(accounts, by_name={})
    assert "no account 'shared'" in next(missing(Needs.of(campaign), nobody))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"account": 1}', json.dumps({"command": "touch x"})])
def test_a_question_of_another_format_is_not_answered(text: str) -> None:
    assert Needs.read(text) is None


@pytest.fixture
def shared(postgresql: PostgreSQL, tmp_path: Path) -> Iterator[CampaignFile]:
    place = postgresql.empty()  # nothing was ever sent from it
    yield write(tmp_path, ledger=place.url)
    postgresql.drop(place)


def test_a_worker_that_does_not_answer_is_reported(
    shared: CampaignFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(equipment, "PATIENCE", 0.1)
    told: list[str] = []
    found, answers = inspect_workers(shared, lambda seconds, why: told.append(why), lambda: None)
    assert answers == []
    assert "no worker has answered within 15 s" in found[0].message
    assert told == ["workers are asked what they have"]


def test_without_workers_nothing_is_asked(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="it has no `workers:`"):
        inspect_workers(write(tmp_path, workers=None), lambda seconds, why: None, lambda: None)
