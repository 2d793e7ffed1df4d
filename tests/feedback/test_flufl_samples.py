"""The mails that flufl.bounce's own tests read, and what we say of each beside what it says.

They are in its source distribution, under the Apache License 2.0, and are not copied into this repository.
"""

from __future__ import annotations

import email
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from campaign.feedback.reports import Bounce, Class, Failure, classify
from campaign.feedback.understand import understand

SOURCES = Path(sys.prefix) / "samples" / "flufl_bounce-6.0.0.tar.gz"

# What a standard, or a server's own form, says of these. All others are no bounces to us either, or guesses.
KNOWN = {
    "dsn_01.txt": "5.0.0",
    "dsn_02.txt": "4.4.7",
    "dsn_04.txt": "5.0.0",
    "dsn_09.txt": "5.0.0",
    "dsn_10.txt": "5.0.0",
    "dsn_11.txt": "5.1.1",
    "dsn_12.txt": "5.1.1",
    "dsn_13.txt": "5.1.1",
    "dsn_14.txt": "5.1.1",
    "dsn_16.txt": "5.0.0",
    "exim_01.txt": "5.1.1",
    "simple_42.txt": "5.7.1",
    "qmail_03.txt": "5.1.1",
    "yahoo_11.txt": "5.1.1",
}
DELAYS = {"dsn_05.txt", "dsn_06.txt", "dsn_07.txt", "dsn_08.txt", "dsn_17.txt"}
# A receipt by which Dovecot once refused mail, in place of a bounce.
ONLY_FLUFL = {"simple_38.txt"}


@pytest.fixture(scope="module")
def samples() -> Mapping[str, bytes]:
    pytest.importorskip("flufl.bounce")
    if not SOURCES.exists():
        command = f"pip download --no-deps --no-binary flufl.bounce -d {SOURCES.parent} flufl.bounce==6.0.0"
        pytest.skip(f"needs flufl.bounce's samples: {command}")
    with tarfile.open(SOURCES) as archive:
        files = [
            member for member in archive if "/tests/data/" in member.name and member.name.endswith(".txt")
        ]
        found = {Path(file.name).name: archive.extractfile(file) for file in files}
        return {name: file.read() for name, file in found.items() if file is not None}


def said_by_flufl(mail: bytes) -> tuple[set[str], set[str]]:
    from flufl.bounce import all_failures

    message = email.message_from_bytes(mail)
    if not message.get("From"):
        message["From"] = "nobody@invalid"  # one of its detectors asks for it
    temporary, permanent = all_failures(message)
    return {a.decode().lower() for a in temporary}, {a.decode().lower() for a in permanent}


def test_we_see_the_bounces_that_it_sees(samples: Mapping[str, bytes]) -> None:
    assert len(samples) > 110
    wrong = {}
    for name, mail in samples.items():
        temporary, permanent = said_by_flufl(mail)
        report = understand(mail).report
        failures = report.failures if isinstance(report, Bounce) else ()
        failed = {failure.final.lower() for failure in failures if failure.failed}
        failed |= {failure.original.lower() for failure in failures if failure.failed}
        if (name not in ONLY_FLUFL and not permanent <= failed) or (temporary and failed and not permanent):
            wrong[name] = (temporary, permanent, failures)
    assert wrong == {}


def test_its_word_alone_makes_nothing_hard(samples: Mapping[str, bytes]) -> None:
    for name, mail in samples.items():
        report = understand(mail).report
        if not isinstance(report, Bounce):
            continue
        classes = {classify(failure.code) for failure in report.failures if failure.failed}
        if name in DELAYS:
            assert classes == set()
        elif name in KNOWN:
            assert {str(failure.code) for failure in report.failures} == {KNOWN[name]}, name
        else:
            assert classes <= {Class.SOFT}, (name, report)
    hard = {name for name, code in KNOWN.items() if code == "5.1.1"}
    assert {classify(f.code) for n in hard for f in _failures(samples[n])} == {Class.HARD}


def _failures(mail: bytes) -> tuple[Failure, ...]:
    report = understand(mail).report
    assert isinstance(report, Bounce)
    return report.failures
