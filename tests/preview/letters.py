"""Campaigns to preview: the ready-made ones, and small ones with cells of any kind."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
LETTER = ROOT / "templates" / "newsletter" / "campaign.yaml"
STATEMENTS = ROOT / "templates" / "mail-merge" / "campaign.yaml"


def campaign(folder: Path, rows: list[str], *more: str, html: str = "<p>Hello {{ name }}</p>") -> Path:
    """Write a campaign with columns email, name and plan."""
    folder.mkdir(exist_ok=True)
    (folder / "list.csv").write_text("email,name,plan\n" + "\n".join(rows) + "\n", encoding="utf-8")
    (folder / "body.txt.j2").write_text("Hello {{ name }}, on {{ plan }}\n", encoding="utf-8")
    (folder / "body.html.j2").write_text(html, encoding="utf-8")
    file = folder / "campaign.yaml"
    lines = [
        "name: letter",
        "from: news@example.com",
        "subject: 'For {{ recipient.email }}'",
        "templates: {text: body.txt.j2, html: body.html.j2}",
        "smtp: {host: smtp.example.com, username: u, password_command: [touch, was-run]}",
        *(more or ("recipients: list.csv",)),
    ]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
