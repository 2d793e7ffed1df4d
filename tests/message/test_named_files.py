"""Files that a campaign names and that are none: their kind and size are looked at before they are read.

A sparse file of 100 GB costs nothing to make, and would take the memory or an hour to read.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from campaign.campaignfile.load import load
from campaign.errors import UserError
from campaign.message.render import Renderer
from campaign.recipients.list import Recipients
from tests.message.rendering import SECRETS, campaign, rendered, row


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(100_000_000_000)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


SIZES = r"100\.0 GB, and at most [0-9.]+ [MG]B are read"
KINDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "sparse": (sparse, SIZES),
    "pipe": (pipe, "a pipe or a device"),
    "device": (device, "."),
}
PLACES: dict[str, tuple[str, dict[str, object], str]] = {
    "list": ("huge.csv", {"recipients": "huge.csv"}, "spring.yaml:2:"),
    "list in full": ("huge.csv", {"recipients": {"csv": "huge.csv"}}, "spring.yaml:3:"),
    "template": ("huge.txt", {"templates": {"text": "huge.txt"}}, "spring.yaml:6:"),
    "subject": ("huge.txt", {"subject": None, "templates": {"subject": "huge.txt", "text": "body.txt"}},
                "spring.yaml:5:"),
    "included template": ("huge.txt", {"templates": {"text": "including.txt"}}, "including.txt:2:"),
    "attachment": ("huge.pdf", {"attachments": ["huge.pdf"]}, "spring.yaml:10:"),
    "attachment of a row": ("huge.pdf", {"attachments": ["{{ first }}.pdf"]}, "spring.yaml:10:"),
    "image": ("huge.png", {"templates": {"html": "image.html"}}, "image.html:2:"),
    "dkim key": ("huge.pem", {"dkim": {"domain": "x.test", "selector": "s", "key_file": "huge.pem"}},
                 "spring.yaml:12:"),
    "certificate": ("huge.pem", {"smtp": {"host": "x.test", "client_cert": "huge.pem"}}, "spring.yaml:9:"),
    "ca file": ("huge.pem", {"smtp": {"host": "x.test", "ca_file": "huge.pem"}}, "spring.yaml:9:"),
    "settings": ("huge.yaml", {"smtp": "huge.yaml"}, "huge.yaml:"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "including.txt").write_text("Hi\n{% include 'huge.txt' %}")
    (tmp_path / "image.html").write_text('<p>Hi</p>\n<img src="huge.png">')
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_a_file_that_is_none_is_a_sentence(folder: Path, kind: str, place: str) -> None:
    name, values, where = PLACES[place]
    make, said = KINDS[kind]
    make(folder / name)
    with pytest.raises(UserError, match=said) as caught:
        read_all(folder, values)
    assert all(str(problem).startswith(where) for problem in caught.value.problems), str(caught.value)


def read_all(folder: Path, values: dict[str, object]) -> None:
    given = campaign(folder, **values)
    recipients = Recipients(given)
    rendered(Renderer(given, tuple(row().row), SECRETS), row(first="huge"))
    list(recipients)


@pytest.mark.parametrize("kind", KINDS)
def test_a_campaign_file_that_is_none(folder: Path, kind: str) -> None:
    make, said = KINDS[kind]
    make(folder / "huge.yaml")
    with pytest.raises(UserError, match=f"huge.yaml: the file cannot be read: .*{said}"):
        load(folder / "huge.yaml")


def test_a_list_of_nothing_but_zeros_is_not_read_to_its_end(folder: Path) -> None:
    with (folder / "huge.csv").open("wb") as file:
        file.truncate(7_999_999_999)
    with pytest.raises(UserError, match=r"huge.csv:1: the header is not UTF-8"):
        read_all(folder, {"recipients": "huge.csv"})


def test_an_encoding_that_needs_a_mark(folder: Path) -> None:
    (folder / "cp1252.csv").write_bytes("email,größe\nann@x.test,1\n".encode("cp1252"))
    with pytest.raises(UserError) as caught:
        read_all(folder, {"recipients": {"csv": "cp1252.csv", "encoding": "utf-16"}})
    assert str(caught.value).startswith(
        "spring.yaml:4:13: recipients.encoding: the list cp1252.csv is not UTF-16"
    )


def test_a_secret_without_end(folder: Path) -> None:
    given = campaign(folder, smtp={"host": "x.test", "username": "ann", "password_file": "/dev/zero"})
    assert given.smtp.secret is not None
    with pytest.raises(
        UserError, match=r"spring.yaml:10:18: .*/dev/zero has more than 10.0 kB, too much for a secret"
    ):
        given.smtp.secret.read()


def hard_link(folder: Path) -> None:
    os.link(folder / "secret.txt", folder / "terms.txt")


def soft_link(folder: Path) -> None:
    (folder / "terms.txt").symlink_to("secret.txt")


@pytest.mark.parametrize("link", [hard_link, soft_link])
@pytest.mark.parametrize(
    "values",
    [
        {"attachments": ["terms.txt"]},
        {"attachments": ["{{ first }}.txt"]},
        {"templates": {"text": "terms.txt"}},
        {"templates": {"text": "including.txt"}},
    ],
    ids=range(4),
)
def test_another_name_of_a_secret_s_file_is_refused(
    folder: Path, link: Callable[[Path], None], values: dict[str, object]
) -> None:
    (folder / "secret.txt").write_text("hunter2")
    (folder / "including.txt").write_text("{% include 'terms.txt' %}")
    link(folder)
    smtp = {"host": "x.test", "username": "ann", "password_file": "secret.txt"}
    with pytest.raises(UserError, match=r"is not for recipients|are not readable") as caught:
        rendered(
            Renderer(campaign(folder, smtp=smtp, **values), tuple(row().row), SECRETS), row(first="terms")
        )
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "begins", ["PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY", "ENCRYPTED PRIVATE KEY"]
)
@pytest.mark.parametrize(
    "values",
    [
        {"attachments": ["terms.txt"]},
        {"templates": {"text": "terms.txt"}},
        {"templates": {"text": "including.txt"}},
    ],
    ids=range(3),
)
def test_a_private_key_that_the_campaign_does_not_name(
    folder: Path, begins: str, values: dict[str, object]
) -> None:
    (folder / "including.txt").write_text("{% include 'terms.txt' %}")
    (folder / "terms.txt").write_text(f"# mine\n-----BEGIN {begins}-----\nMIIE")
    with pytest.raises(UserError, match="it holds a private key") as caught:
        rendered(Renderer(campaign(folder, **values), tuple(row().row), SECRETS))
    assert "MIIE" not in str(caught.value)


def test_a_file_with_two_names_is_no_secret(folder: Path) -> None:
    (folder / "a.pdf").write_bytes(b"%PDF")
    os.link(folder / "a.pdf", folder / "b.pdf")
    renderer = Renderer(campaign(folder, attachments=["b.pdf"]), tuple(row().row), SECRETS)
    assert b"JVBERg==" in rendered(renderer).content
