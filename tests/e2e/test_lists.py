"""Lists as people have them, checked and rehearsed: a workbook, and contacts exported from Google."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from tests.folder import write_campaign


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "campaign", *arguments], cwd=folder, capture_output=True, text=True
    )


def invoices(folder: Path, **settings: Any) -> None:
    """Write a campaign whose list is a sheet with titles, amounts and dates."""
    book = openpyxl.Workbook()
    book.create_sheet("Invoices")
    rows: list[tuple[Any, ...]] = [
        ("E-Mail", "Name", "Amount", "Due", "Name"),
        ("ann@example.test", "Ann", 1234.5, dt.date(2026, 12, 1), "x"),
        ("ben@example.test", "Ben", 7, dt.date(2026, 12, 24), "y"),
    ]
    for row in rows:
        book["Invoices"].append(row)
    for line in (2, 3):
        book["Invoices"][f"C{line}"].number_format = '#,##0.00 "€"'
        book["Invoices"][f"D{line}"].number_format = "d mmmm yyyy"
    book.save(folder / "people.xlsx")
    body = "Dear customer,\n\nplease pay {{ Amount }} until {{ Due }}.\n\nYours\nThe office\n"
    people = {"csv": "people.xlsx", "sheet": "Invoices", "email": "E-Mail", **settings}
    write_campaign(
        folder,
        {"body.txt": body},
        recipients={key: value for key, value in people.items() if value is not None},
        **{"from": "The office <office@office.example.org>"},
    )


def test_a_workbook_is_checked_and_rehearsed(tmp_path: Path) -> None:
    invoices(tmp_path)
    checked = run(tmp_path, "check", "spring.yaml")
    assert checked.returncode == 0, checked.stderr
    assert (
        "people.xlsx:1: warning: columns 2 and 5 have the same name, 'Name'"
        in checked.stdout + checked.stderr
    )
    shown = run(tmp_path, "preview", "spring.yaml", "--row", "1")
    assert "please pay 1,234.50 € until 1 December 2026." in shown.stdout
    rehearsed = run(tmp_path, "rehearse", "spring.yaml")
    assert rehearsed.returncode == 0, rehearsed.stderr
    assert "2 accepted" in rehearsed.stdout


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        (
            {"sheet": "Invoice"},
            "people.xlsx has no sheet 'Invoice'; did you mean 'Invoices'?",
        ),
        ({"email": None}, "the list has no column 'email'; write `recipients.email: E-Mail`"),
        (
            {"key": "Name"},
            "columns 2 and 5 have the same name, 'Name', and `recipients.key` uses it",
        ),
    ],
)
def test_errors_in_a_workbook_are_reported(tmp_path: Path, settings: dict[str, Any], what: str) -> None:
    invoices(tmp_path, **settings)
    checked = run(tmp_path, "check", "spring.yaml")
    assert checked.returncode == 2
    assert what in checked.stdout + checked.stderr
    assert run(tmp_path, "rehearse", "spring.yaml").returncode == 2


def test_a_damaged_workbook_is_reported(tmp_path: Path) -> None:
    invoices(tmp_path)
    octets = (tmp_path / "people.xlsx").read_bytes()
    (tmp_path / "people.xlsx").write_bytes(octets[: len(octets) // 2])
    checked = run(tmp_path, "check", "spring.yaml")
    assert checked.returncode == 2
    assert "people.xlsx: the workbook cannot be read: it is damaged or incomplete" in checked.stderr
    assert "Traceback" not in checked.stderr


def test_exported_google_contacts_are_read(tmp_path: Path) -> None:
    people = (
        "First Name,Last Name,E-mail 1 - Label,E-mail 1 - Value,,\n"
        "Ann,Lee,* ,Ann@example.test ::: ann@example.org,,\n"
        "Ben,,,,,\n"
        "Cy,,,cy@example.test,,\n"
    )
    email = "{{ row['E-mail 1 - Value'].split(' ::: ')[0] }}"
    write_campaign(
        tmp_path,
        {"contacts.csv": people, "body.txt": "Dear {{ row['First Name'] }},\n\nwe have moved.\n"},
        recipients={"csv": "contacts.csv", "email": email, "where": "row['E-mail 1 - Value'] != ''"},
    )
    checked = run(tmp_path, "check", "spring.yaml")
    assert checked.returncode == 0, checked.stderr
    rehearsed = run(tmp_path, "rehearse", "spring.yaml")
    assert rehearsed.returncode == 0, rehearsed.stderr
    assert "2 accepted" in rehearsed.stdout
