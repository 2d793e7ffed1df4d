"""The files and secrets of a campaign that no template reads."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from campaign.campaignfile.load import load
from campaign.campaignfile.secret import SecretSource
from campaign.errors import UserError
from tests.campaignfile.files import FULL, MINIMAL, read


class TestSecrets:
    """Read from where the file says, and never shown."""

    def source(self, settings: str, folder: Path) -> SecretSource:
        text = MINIMAL.replace("smtp.example.com", f"smtp.example.com, username: news, {settings}")
        campaign = read(text, folder)
        assert campaign.smtp.secret is not None
        assert "hunter2" not in repr(campaign)
        assert "hunter2" not in repr(campaign.smtp.secret)
        return campaign.smtp.secret

    def test_environment(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SMTP_PASSWORD", "hunter2 ")
        assert self.source("password_env: SMTP_PASSWORD", folder).read() == "hunter2 "

    def test_command_runs_in_the_folder_of_its_file(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "password").write_text("hunter2\r\n")
        source = self.source("password_command: cat password", folder)
        monkeypatch.chdir("/")
        assert source.read() == "hunter2"
        script = folder / "secret.sh"
        script.write_text("#!/bin/sh\ncat password\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.chdir(folder)
        assert self.source("password_command: [./secret.sh]", folder).read() == "hunter2"

    def test_a_command_needs_no_shell(self, folder: Path) -> None:
        source = self.source("password_command: \"printf '%s' 'a b; $HOME'\"", folder)
        assert source.read() == "a b; $HOME"

    def test_file(self, folder: Path) -> None:
        (folder / "password").write_text("hunter2\n")
        assert self.source("password_file: password", folder).read() == "hunter2"

    def test_token(self, folder: Path) -> None:
        source = self.source("auth: xoauth2, token_command: [echo, ya29]", folder)
        assert (source.what, source.read()) == ("smtp.token", "ya29")

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ("password_env: NOT_SET", "smtp.password_env: the environment variable NOT_SET is not set"),
            ("password_env: EMPTY", "smtp.password_env: the environment variable EMPTY is empty"),
            ("password_file: none", "smtp.password_file: .*none: No such file or directory"),
            ("password_file: empty", "smtp.password_file: .*empty is empty"),
            ("password_file: latin", "smtp.password_file: .*latin is not UTF-8"),
            ("password_command: no-such-one", "smtp.password_command: there is no command 'no-such-one'"),
            ("password_command: false hunter2", "smtp.password_command: false ended with exit code 1"),
            ("password_command: [printf, '\\344']", "smtp.password_command: what printf prints is not UTF-8"),
            ("password_command: ['true']", "smtp.password_command: true prints nothing"),
            ("password_command: [/]", "smtp.password_command: / cannot be run"),
        ],
    )  # fmt: skip
    def test_what_goes_wrong(
        self, settings: str, words: str, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EMPTY", "")
        (folder / "empty").write_text("\n")
        (folder / "latin").write_bytes(b"\xe4")
        source = self.source(settings, folder)
        with pytest.raises(UserError, match=f"^campaign.yaml:[0-9:]+: {words}") as caught:
            source.read()
        assert "hunter2" not in str(caught.value)

    def test_private_files_are_those_that_nobody_gets(self, folder: Path) -> None:
        campaign = read(FULL.replace("password_env: SMTP_PASSWORD", "password_file: password"), folder)
        names = {file.name for file in campaign.private}
        assert names == {"campaign.yaml", "list.csv", "spring.db", "client.key", "password", "dkim.pem"}

    def test_nothing_of_it_is_read_when_the_file_is(self, folder: Path) -> None:
        marker = folder / "ran"
        self.source(f"password_command: [touch, {marker}]", folder)
        assert not marker.exists()


@pytest.mark.parametrize(
    "content",
    [
        "hunter2",
        "!hunter2 x",
        "*hunter2",
        "hunter2: [",
        "- hunter2",
        "a: !hunter2\nb: c",
        '"hunter2',
        "%hunter2",
    ],
)
def test_nothing_of_a_file_that_holds_no_settings_is_shown(folder: Path, content: str) -> None:
    (folder / "password").write_text(content)
    values = yaml.safe_load(MINIMAL) | {"smtp": "password"}
    (folder / "campaign.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    with pytest.raises(UserError, match="'password' holds no SMTP settings: it has no `host:`") as caught:
        load(folder / "campaign.yaml")
    assert "hunter2" not in str(caught.value)


def test_a_slip_in_the_settings_is_told_with_its_line(folder: Path) -> None:
    (folder / "smtp.yaml").write_text("host: smtp.example.com\nport: [")
    values = yaml.safe_load(MINIMAL) | {"smtp": "smtp.yaml"}
    (folder / "campaign.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    with pytest.raises(UserError, match=r"smtp.yaml:2:8: the bracket that opens here is not closed"):
        load(folder / "campaign.yaml")
