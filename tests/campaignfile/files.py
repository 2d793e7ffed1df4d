"""Campaign files for tests, and what loading them says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from campaign.campaignfile.load import load
from campaign.campaignfile.models import CampaignFile
from campaign.errors import UserError

BAD = sorted(path.parent for path in Path(__file__).parents[1].glob("bad_campaigns/*/campaign.yaml"))
SAMPLES = sorted(Path(__file__).parents[2].glob("templates/*/campaign.yaml"))

MINIMAL = """\
name: spring
recipients: list.csv
from: news@example.com
subject: Hello
templates: {text: body.txt.j2}
smtp: {host: smtp.example.com}
"""
FULL = """\
name: spring-newsletter
recipients:
  csv: list.csv
  email: address
  name: "{{ first_name }} {{ last_name }}"
  key: [address, plan]
  encoding: cp1252
  delimiter: ";"
  where: "plan == 'pro'"
from: "Example News <news@example.com>"
sender: desk@example.com
reply_to: help@example.com
cc: ["{{ boss }}"]
bcc: archive@example.com
envelope_from: "bounces+{{ bounce.token }}@example.com"
subject: "{{ first_name }}, what is new this spring"
templates:
  text: body.txt.j2
  html: body.html.j2
preheader: "{{ teaser }}"
utm: {domains: x.test, utm_source: a, utm_medium: b, utm_campaign: c, utm_term: d, utm_content: e, utm_id: f}
vars: {product: Example, year: 2026}
headers: {X-Campaign: "{{ campaign.name }}"}
list_id: "Example News <news.example.com>"
inline_css: false
attachments:
  - assets/terms.pdf
  - {path: "invoices/{{ invoice }}.pdf", name: "Invoice {{ invoice }}.pdf"}
  - {path: "letters/{{ item }}", each: "{{ letters.split(';') }}"}
attachments_root: files
calendar: body.txt.j2
unsubscribe:
  mailto: unsubscribe@example.com
  url: "https://example.com/u/{{ unsubscribe.token }}"
  secret_env: UNSUBSCRIBE_SECRET
  one_click: true
dkim: {domain: example.com, selector: s1, key_file: dkim.pem, algorithm: ed25519-sha256}
smtp:
  host: smtp.example.com
  port: 2525
  security: starttls
  username: news
  account: our relay
  password_env: SMTP_PASSWORD
  auth: login
  ca_file: ca.pem
  server_name: smtp.example.net
  client_name: web1.example.com
  client_cert: client.pem
  client_key: client.key
  connections: 4
  window: 8
  messages_per_session: 50
  rate: [14/second, 50000/day]
rate: 10/minute
retry: {attempts: 3, first_delay: 30s, max_delay: 2h}
stop_when: {refused: 12.5%, in_doubt: 1%}
suppress: off
bounces:
  soft: 5 in 14d
  imap:
    host: imap.example.com
    port: 9993
    username: bounces
    password_env: IMAP_PASSWORD
    auth: plain
    ca_file: ca.pem
    folder: Bounces
    done: Read
check: {ignore: [clipped]}
ledger: ../ledgers/spring.db
"""


MARKS = "[]{}:,-?!&*#|>%@`'\"\\\n\t =~<a1."
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.text(max_size=20).filter(lambda text: text.isprintable())
    | st.sampled_from(["{{ x }}", "a@b.example, c@d.example", "off", "~", "1/0", "0/day", "-1s", "[", "::"])
)
JUNK = st.recursive(
    SCALARS.map(lambda value: str(value) if not isinstance(value, bool | int | float | None) else value),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab{}: ", max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def read(text: str, folder: Path) -> CampaignFile:
    (folder / "campaign.yaml").write_text(text, encoding="utf-8")
    return load(Path("campaign.yaml"))


def said(text: str, folder: Path) -> list[str]:
    """The lines that a person reads."""
    with pytest.raises(UserError) as caught:
        read(text, folder)
    return str(caught.value).splitlines()


def keys(values: dict[str, Any], within: str = "") -> list[str]:
    """The dotted keys of a campaign file; what stands in vars and headers is the person's own."""
    found = []
    for key, value in values.items():
        found.append(f"{within}{key}")
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, dict) and key not in ("vars", "headers"):
                found += keys(part, f"{within}{key}.")
    return found


def schema_keys(schema: dict[str, Any]) -> list[str]:
    def keys(part: dict[str, Any], within: str) -> list[str]:
        found = []
        for name, value in part["properties"].items():
            found.append(f"{within}{name}")
            for reference in re.findall(r"#/\$defs/(\w+)", json.dumps(value)):
                if "properties" in schema["$defs"][reference]:
                    found += keys(schema["$defs"][reference], f"{within}{name}.")
        return found

    return keys(schema, "")
