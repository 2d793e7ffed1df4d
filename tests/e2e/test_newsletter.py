"""A newsletter through a real Postfix: everybody gets their own, once."""

from __future__ import annotations

import email
import email.policy
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.folder import CampaignFolder
from tests.servers.postfix import Postfix

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_thousand_newsletters_in_one_session(
    make_postfix: Callable[..., Postfix], tmp_path: Path, security: str
) -> None:
    server = make_postfix(auth=True)
    folder = CampaignFolder(tmp_path, server)
    shutil.copytree(ROOT / "templates" / "newsletter", tmp_path, dirs_exist_ok=True)
    rows = [
        f"user{n}@example.test,Näme{n},Ø,en,Oslo,{('free', 'plus', 'pro')[n % 3]},2024-05-0{n % 9 + 1}"
        for n in range(1000)
    ]
    folder.list(rows, "email,first_name,last_name,language,city,plan,signed_up")
    text = (tmp_path / "campaign.yaml").read_text("utf-8")
    text = text.replace("../../sample_lists/subscribers.csv", "list.csv")
    port = server.tls_port if security == "tls" else server.port
    smtp = {
        "host": "localhost",
        "port": port,
        "security": security,
        "username": "news",
        "password_env": "SMTP_PASSWORD",
        "ca_file": str(server.ca_file),
        "messages_per_session": 1000,
    }
    (tmp_path / "campaign.yaml").write_text(
        text[: text.index("\nsmtp:")] + f"\nsmtp: {json.dumps(smtp)}\n", "utf-8"
    )

    sent = folder.send("--log", "attempts.jsonl", timeout=300)

    assert sent.returncode == 0, sent.stderr + sent.stdout
    delivered = server.wait_delivered(1000)
    assert Counter(mail.recipient for mail in delivered) == {f"user{n}@example.test": 1 for n in range(1000)}
    for mail in delivered:
        number = re.fullmatch(r"user(\d+)@example\.test", mail.recipient)
        assert number is not None
        message = email.message_from_bytes(mail.content, policy=email.policy.default)
        name = f"Näme{number[1]}"
        assert message["Subject"].startswith(f"{name}, ")
        assert f"Hello {name}," in message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
        assert f"Hello {name}," in message.get_body(("html",)).get_content()  # type: ignore[union-attr]
    sessions = re.findall(r"connect from localhost", server.log())
    logins = {line for line in server.log().splitlines() if "sasl_username=news" in line}
    assert len(logins) == 1000
    # One look by the tests for each port, and one session for the campaign.
    assert (
        len(
            [
                line
                for line in server.log().splitlines()
                if " disconnect from " in line and "mail=1000" in line
            ]
        )
        == 1
    ), sessions
    attempts = [json.loads(line) for line in (tmp_path / "attempts.jsonl").read_text("utf-8").splitlines()]
    assert {(a["address"], a["status"]) for a in attempts} == {
        (f"user{n}@example.test", "accepted") for n in range(1000)
    }
    assert {*attempts[0]} == {"key", "address", "status", "reply", "time"}
    status = json.loads(folder.run("status", "campaign.yaml", "--json").stdout)
    assert status["campaign"] == "spring-letter"
    assert status["counts"]["accepted"] == 1000
    assert status["first_accepted_at"] < status["last_accepted_at"]

    again = folder.send()
    assert again.returncode == 0, again.stderr
    assert "0 to send" in again.stdout
    assert len(server.wait_delivered(1000)) == 1000
