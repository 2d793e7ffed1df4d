"""The model of `bounces:`, the settings for returned mail."""

from __future__ import annotations

from campaign.campaignfile.part import Model, WithSecret, about
from campaign.campaignfile.secret import SecretSource
from campaign.campaignfile.values import AnyPath, Command, KeyFile, Soft, Whole
from campaign.smtp.auth import Mechanism


class Imap(WithSecret):
    """A mailbox that bounces are delivered to, read over implicit TLS."""

    host: str = about("The server's name.", min_length=1)
    port: Whole = about("Its port.", default=993, ge=1, le=65535)
    username: str = about("Who logs in.", min_length=1)
    password_env: str | None = about("The environment variable that holds the password.", default=None)
    password_command: Command | None = about("A command that prints the password.", default=None, repr=False)
    password_file: AnyPath | None = about("A file that holds the password.", default=None)
    token_command: Command | None = about(
        "A command that prints an access token, for xoauth2.", default=None, repr=False
    )
    auth: Mechanism | None = about("The login mechanism, chosen if it is not named.", default=None)
    ca_file: KeyFile | None = about("The CAs to trust, PEM, instead of the system's.", default=None)
    folder: str = about("The folder that is read.", default="INBOX", min_length=1)
    done: str = about("The folder that processed mail is moved to.", default="Processed", min_length=1)

    @property
    def secret(self) -> SecretSource | None:
        """Where the password, or for xoauth2 the token, comes from."""
        if self.token_command is not None:
            return self._source("bounces.imap.token", None, self.token_command, None)
        return self._source(
            "bounces.imap.password", self.password_env, self.password_command, self.password_file
        )


class Bounces(Model):
    """How returned mail is handled."""

    imap: Imap | None = about("The mailbox that it is delivered to.", default=None)
    soft: Soft = about(
        "In how many campaigns, and within what time, soft bounces suppress an address.",
        default=(3, 30 * 86_400.0),
    )
