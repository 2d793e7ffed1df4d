"""A bundle gives the same messages on a worker; what must not be in it is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from campaign.campaignfile.load import load
from campaign.campaignfile.models import CampaignFile
from campaign.errors import Unequipped, UserError
from campaign.message.render import Renderer
from campaign.message.tokens import Secrets
from campaign.model import Recipient
from campaign.recipients.list import Recipients
from campaign.sending.account import logins_of
from campaign.sending.workers import packing
from campaign.sending.workers.accounts import Accounts, load_accounts
from campaign.sending.workers.bundle import Bundle, read
from campaign.sending.workers.naming import Naming
from campaign.sending.workers.packing import Packed, pack
from campaign.sending.workers.sharedfiles import SharedFiles
from campaign.sending.workers.unpacking import unpack
from tests.folder import write_campaign

LEDGER = b"the ledger's secret"
DATE = datetime(2026, 3, 20, 7, tzinfo=UTC)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A campaign with all that is bundled: an include, an image, a style sheet, attachments, tokens."""
    folder = tmp_path / "home"
    (folder / "parts").mkdir(parents=True)
    (folder / "letters").mkdir()
    (folder / "body.html.j2").write_text(
        '<link rel="stylesheet" href="look.css"><p>{% include "parts/hello.j2" %}</p>'
        '<img src="logo.png" alt=""> <a href="{{ unsubscribe.url }}">leave</a>'
    )
    (folder / "parts" / "hello.j2").write_text("Hello {{ name }}, {{ greeting }}")
    (folder / "look.css").write_text("p { color: green }")
    (folder / "logo.png").write_bytes(PNG)
    (folder / "terms.txt").write_text("Terms.")
    for name in ("ann", "ben"):
        (folder / "letters" / f"{name}.txt").write_text(f"A letter to {name}.")
    (folder / "list.csv").write_text("email,name\nann@example.com,ann\nben@example.com,ben\n")
    (folder / "secret").write_text("tokens")
    write(folder)
    return folder


def write(folder: Path, **changes: Any) -> None:
    values: dict[str, Any] = {
        "name": "spring",
        "recipients": {"csv": "list.csv", "name": "{{ name }}"},
        "from": "News <news@example.com>",
        "subject": "Hello {{ name }}",
        "templates": {"html": "body.html.j2"},
        "vars": {"greeting": "welcome"},
        "attachments": ["terms.txt", "letters/{{ name }}.txt"],
        "unsubscribe": {"url": "https://example.com/{{ unsubscribe.token }}", "secret_file": "secret"},
        "smtp": {"host": "mail.example.com", "username": "news", "password_env": "MAIL", "rate": "14/second"},
    }
    write_campaign(folder, **{"file": "campaign.yaml", **values, **changes})


def accounts(tmp_path: Path, **changes: Any) -> Accounts:
    """Return a worker's accounts."""
    (tmp_path / "token-secret").write_text("tokens")
    account = {
        "smtp": {"host": "mail.example.com", "username": "news", "password_env": "OURS"},
        "unsubscribe": {"secret_file": "token-secret"},
    }
    file = tmp_path / "accounts.yaml"
    file.write_text(yaml.safe_dump({"accounts": {"news@mail.example.com": {**account, **changes}}}))
    return load_accounts(file)


def packed(
    folder: Path, file: str = "campaign.yaml"
) -> tuple[CampaignFile, Renderer, list[Recipient], Packed]:
    campaign = load(folder / file)
    recipients = Recipients(campaign)
    secrets = Secrets(LEDGER, b"tokens")
    renderer = Renderer(campaign, recipients.columns, secrets)
    rows = [row for row in recipients if isinstance(row, Recipient)]
    return campaign, renderer, rows, pack(campaign, renderer, recipients.columns, rows, secrets)


def bundle_of(one: Packed) -> Bundle:
    return read(one.document, "spring")


def changed(packed: Packed, change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(packed.document)
    change(document)
    return json.dumps(document).encode()


def test_a_worker_makes_the_same_messages(home: Path, tmp_path: Path) -> None:
    campaign, renderer, rows, one = packed(home)
    theirs = unpack(bundle_of(one), one.blobs.get, accounts(tmp_path), LEDGER, tmp_path / "worker")
    for row in rows:
        assert theirs.renderer.render(row, date=DATE) == renderer.render(row, date=DATE)
    assert theirs.campaign.windows == campaign.windows
    assert theirs.campaign.smtp.password_env == "OURS"


def test_a_bundle_has_no_secret_and_no_source_of_one(home: Path) -> None:
    *_, one = packed(home)
    everything = one.document + b"".join(one.blobs.values())
    assert b"MAIL" not in everything
    assert b"secret_file" not in everything
    assert b"ann@example.com" not in everything  # the list is in the ledger
    assert (home / "secret").read_bytes() not in one.blobs.values()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda d: d["values"].update(smtp={"host": "evil.example"}), "values.smtp"),
        (lambda d: d["values"].update(dkim={"key_file": "/etc/shadow"}), "values.dkim"),
        (lambda d: d["values"].update(recipients="/etc/passwd"), "values.recipients"),
        (lambda d: d["values"].update(ledger="postgresql://evil/x"), "values.ledger"),
        (lambda d: d["values"].update(bounces={}), "values.bounces"),
        (lambda d: d["values"]["unsubscribe"].update(secret_env="PATH"), "values.unsubscribe.secret_env"),
        (
            lambda d: d["values"]["unsubscribe"].update(secret_command=["id"]),
            "values.unsubscribe.secret_command",
        ),
        (lambda d: d["values"]["templates"].update(text="/etc/passwd"), "values.templates.text: /etc/passwd"),
        (lambda d: d["values"]["templates"].update(text="../../etc/passwd"), "values.templates.text"),
        (lambda d: d["files"].update({"campaign/../../x": "00"}), "files: campaign/../../x"),
        (lambda d: d["files"].update({"/etc/cron.d/x": "00"}), "files: /etc/cron.d/x"),
        (lambda d: d["attached"].update({"../x": "00"}), "attached: ../x"),
        (lambda d: d.update(root="/etc"), "root: /etc"),
        (lambda d: d.update(root="../../etc"), "root: ../../etc"),
        (lambda d: d["list"].update(csv="/etc/passwd"), "list.csv"),
        (lambda d: d["dkim"].update(key_file="/etc/shadow"), "dkim.key_file"),
        (lambda d: d.update(columns=3), "columns"),
    ],
)
def test_settings_that_only_a_worker_may_have_are_refused_by_name(
    home: Path, change: Callable[[dict[str, Any]], object], named: str
) -> None:
    *_, one = packed(home)
    with pytest.raises(
        UserError, match="its bundle has values that are invalid, or only a worker may set"
    ) as refused:
        read(changed(one, change), "spring")
    assert named in str(refused.value)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda d: d["values"].update(subject="Buy {{ name }}"), "its content is different here"),
        (lambda d: d.update(digest="0" * 64), "its content is different here"),
        (lambda d: d.update(token="0" * 64), "the unsubscribe secret of its account is another one"),
        (lambda d: d.update(account="other"), "there is no account 'other'"),
        (lambda d: d.update(scope=["mail.example.com", "someone"]), "another account has another rate"),
        (
            lambda d: d.update(dkim={"domain": "example.com", "selector": "s1"}),
            "has no DKIM key s1 of example.com",
        ),
        (lambda d: d["files"].update({"campaign/x.css": "ab" * 32}), "is not in the ledger"),
        (lambda d: d.update(version=99), "workers and `campaign send` must be of one release"),
    ],
)
def test_a_worker_refuses_if_its_content_would_differ(
    home: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], why: str
) -> None:
    *_, one = packed(home)
    ours = accounts(tmp_path)
    with pytest.raises(UserError) as refused:
        unpack(read(changed(one, change), "spring"), one.blobs.get, ours, LEDGER, tmp_path / "worker")
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b"[]", "its bundle has version None"),
        (b'{"version": 0}', "its bundle has version 0, and this program knows 1"),
        (b'{"version": 1}', "its bundle has values that are invalid, or only a worker may set"),
    ],
)
def test_an_invalid_bundle_is_refused_with_the_name_of_the_campaign(document: bytes, why: str) -> None:
    with pytest.raises(UserError) as refused:
        read(document, "spring")
    assert str(refused.value).startswith("spring: ")
    assert why in str(refused.value)


def test_a_blob_with_a_wrong_hash_is_refused(home: Path, tmp_path: Path) -> None:
    *_, one = packed(home)
    with pytest.raises(UserError, match="is not in the ledger"):
        unpack(
            bundle_of(one),
            lambda sha256: b"else",
            accounts(tmp_path),
            LEDGER,
            tmp_path / "worker",
        )


def test_large_attachments_are_read_from_a_shared_folder(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "MOST_ATTACHED", 30)
    write(home, attachments=["letters/{{ name }}.txt"], templates={"html": "plain.html.j2"})
    (home / "plain.html.j2").write_text("{{ greeting }} {{ unsubscribe.url }}")
    _, renderer, rows, one = packed(home)
    assert not any(content.startswith(b"A letter") for content in one.blobs.values())
    with pytest.raises(UserError, match="has no attachments_root"):
        unpack(bundle_of(one), one.blobs.get, accounts(tmp_path), LEDGER, tmp_path / "without")
    (tmp_path / "unmounted").mkdir()
    own = accounts(tmp_path, attachments_root=str(tmp_path / "unmounted"))
    with pytest.raises(UserError, match=r"attachments_root of .*: is that folder mounted\?"):
        unpack(bundle_of(one), one.blobs.get, own, LEDGER, tmp_path / "too early")
    own = accounts(tmp_path, attachments_root=str(home))
    theirs = unpack(bundle_of(one), one.blobs.get, own, LEDGER, tmp_path / "worker")
    assert theirs.shared is not None
    checking = SharedFiles(theirs.renderer, theirs.renderer, theirs.shared)
    assert checking.render(rows[0], date=DATE) == renderer.render(rows[0], date=DATE)
    (home / "letters" / "ben.txt").write_text("Another letter.")
    with pytest.raises(UserError, match=r"ben.txt is gone, or has changed"):
        checking.render(rows[1], date=DATE)
    (home / "letters").rename(home / "gone")
    with pytest.raises(Unequipped, match="is that folder mounted"):
        checking.render(rows[0], date=DATE)


def test_images_named_by_rows_are_bundled_and_templates_are_refused(home: Path, tmp_path: Path) -> None:
    (home / "body.html.j2").write_text('<img src="{{ name }}.png" alt=""> {{ unsubscribe.url }}')
    for name in ("ann", "ben"):
        (home / f"{name}.png").write_bytes(PNG + name.encode())
    _, renderer, rows, one = packed(home)
    theirs = unpack(bundle_of(one), one.blobs.get, accounts(tmp_path), LEDGER, tmp_path / "worker")
    assert theirs.renderer.render(rows[0], date=DATE) == renderer.render(rows[0], date=DATE)
    (home / "body.html.j2").write_text("{% include name + '.j2' %} {{ unsubscribe.url }}")
    for name in ("ann", "ben"):
        (home / f"{name}.j2").write_text("Hi")
    with pytest.raises(UserError, match="the template's name depends on the row"):
        packed(home)


def test_errors_in_an_accounts_file_are_reported(tmp_path: Path) -> None:
    file = tmp_path / "accounts.yaml"
    file.write_text("accounts:\n  news:\n    smpt: {host: x}\n")
    with pytest.raises(UserError) as refused:
        load_accounts(file)
    assert "unknown key" in str(refused.value)
    assert "an account has its `smtp:`" in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"smtp": {"host": "mail.example.com", "prot": 25}}, "accounts.yaml:5:13: {}smtp.prot: unknown key"),
        (
            {"smtp": {"host": "mail.example.com", "username": "news", "password_env": "NO_SUCH"}},
            "accounts.yaml:5:21: {}smtp.password_env: the environment variable NO_SUCH",
        ),
        (
            {"unsubscribe": {"secret_file": "none"}},
            "accounts.yaml:8:20: {}unsubscribe.secret_file: none: No such file",
        ),
    ],
)
def test_errors_in_an_account_are_reported_with_their_place(
    home: Path, tmp_path: Path, changes: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, one = packed(home)
    monkeypatch.chdir(tmp_path)
    own, folder = accounts(tmp_path, **changes), tmp_path / "worker"
    with (
        pytest.raises(UserError) as refused,
        Naming(bundle_of(one), own, folder),
    ):
        logins_of(unpack(bundle_of(one), one.blobs.get, own, LEDGER, folder).campaign)
    assert words.format("accounts.news@mail.example.com.") in str(refused.value)
    assert "worker" not in str(refused.value)


def test_a_bundle_of_an_earlier_release_has_no_places(home: Path, tmp_path: Path) -> None:
    _, _, rows, one = packed(home)
    bundle = read(changed(one, lambda d: [d.pop(key) for key in ("file", "places")]), "spring")
    folder = tmp_path / "worker"
    theirs = unpack(bundle, one.blobs.get, accounts(tmp_path), LEDGER, folder)
    renders = Naming(bundle, accounts(tmp_path), folder).renders(theirs.renderer)
    with pytest.raises(UserError) as refused:
        renders.render(replace(rows[0], row={"name": "nobody", "email": ""}), date=DATE)
    assert str(refused.value).startswith("campaign.yaml: attachments, entry 2: ")


def test_a_file_named_like_one_of_the_worker_is_bundled(home: Path, tmp_path: Path) -> None:
    (home / "list.csv").rename(home / "people.csv")
    (home / "campaign.yaml").rename(home / "spring.yaml")
    for name in ("list.csv", "campaign.yaml"):
        (home / name).write_text(f"This is {name}.")
    named = "{{ 'list.csv' if name == 'ann' else 'campaign.yaml' }}"
    write(home, file="spring.yaml", recipients="people.csv", attachments=[named])
    _, renderer, rows, one = packed(home, "spring.yaml")
    theirs = unpack(bundle_of(one), one.blobs.get, accounts(tmp_path), LEDGER, tmp_path / "worker")
    for row in rows:
        assert theirs.renderer.render(row, date=DATE) == renderer.render(row, date=DATE)
