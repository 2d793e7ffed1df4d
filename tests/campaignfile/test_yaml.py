"""YAML as campaign files are written in it, and what of it is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from campaign.campaignfile.load import load
from campaign.campaignfile.yamlmarks import read as read_document
from campaign.errors import UserError
from tests.campaignfile.files import FULL, JUNK, MARKS, MINIMAL, read, said


class TestYaml:
    """What YAML and its editors do to a file."""

    def test_bom_and_crlf(self, folder: Path) -> None:
        (folder / "campaign.yaml").write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
        campaign = load(Path("campaign.yaml"))
        assert campaign.name == "spring"
        assert str(campaign.problem("subject", "x")).startswith("campaign.yaml:4:10: ")

    def test_json_is_yaml(self, folder: Path) -> None:
        values = {**yaml.safe_load(MINIMAL), "subject": "Spring 🌷 is here"}
        assert read(json.dumps(values), folder).subject == "Spring 🌷 is here"
        assert read(json.dumps(values, ensure_ascii=False), folder).subject == "Spring 🌷 is here"

    def test_a_lone_equals_sign(self, folder: Path) -> None:
        assert read(MINIMAL.replace("Hello", "="), folder).subject == "="

    def test_keys_are_as_written(self, folder: Path) -> None:
        campaign = read(f"{MINIMAL}vars: {{no: 1, on: 2, _3: [no]}}\n", folder)
        assert campaign.vars == {"no": 1, "on": 2, "_3": [False]}

    def test_anchors_may_repeat_a_value(self, folder: Path) -> None:
        campaign = read(f"{MINIMAL}reply_to: &us us@example.com\ncc: [*us]\n", folder)
        assert campaign.cc == ("us@example.com",)

    def test_no_such_file(self, folder: Path) -> None:
        for name in ("none.yaml", ".", "a" * 5000, "a\0b"):
            with pytest.raises(UserError):
                load(Path(name))

    def test_too_large(self, folder: Path) -> None:
        (line,) = said(MINIMAL + "#" * (1 << 21), folder)
        assert line == "campaign.yaml: the file cannot be read: it has 2.1 MB, and at most 1.0 MB are read"

    def test_paths_that_no_system_takes(self, folder: Path) -> None:
        long = "a" * 5000
        text = (
            MINIMAL.replace("list.csv", long).replace("body.txt.j2", '"a\\0b"')
            + f"attachments: [{long}, loop]\nledger: ~nobody-of-that-name/x\n"
        )
        (folder / "loop").symlink_to("loop")
        lines = said(text, folder)
        assert [line.split(": ")[1] for line in lines] == [
            "recipients.csv",
            "templates.text",
            "attachments, entry 1",
            "attachments, entry 2",
            "ledger",
        ]
        assert said(f"{MINIMAL}attachments_root: {long}\nattachments: [a]\n", folder)
        assert said(MINIMAL.replace("{host: smtp.example.com}", long), folder)
        assert said(MINIMAL.replace("{host: smtp.example.com}", "~nobody-of-that-name/x"), folder)

    @given(st.data())
    def test_nothing_but_a_sentence(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        """Whatever stands at whatever place, it is read or refused with words."""
        folder = tmp_path_factory.getbasetemp() / "junk"
        folder.mkdir(exist_ok=True)
        values = yaml.safe_load(FULL)
        for _ in range(data.draw(st.integers(1, 4))):
            at = values
            while True:
                key = data.draw(st.sampled_from(list(at) if isinstance(at, dict) else list(range(len(at)))))
                below = at[key]
                if not isinstance(below, dict | list) or not below or data.draw(st.booleans()):
                    break
                at = below
            at[key] = data.draw(JUNK)
        for text in (json.dumps(values), yaml.safe_dump(values, allow_unicode=True)):
            (folder / "campaign.yaml").write_text(text, encoding="utf-8", errors="replace")
            with pytest.raises(UserError) as caught:  # the files that FULL names are not there
                load(folder / "campaign.yaml")
            assert all(problem.line for problem in caught.value.problems)

    @given(st.text(st.characters(codec="utf-8"), max_size=60) | st.text(MARKS, max_size=60))
    def test_any_text(self, tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
        file = tmp_path_factory.getbasetemp() / "text.yaml"
        file.write_text(text, encoding="utf-8", newline="")
        with pytest.raises(UserError) as caught:
            load(file)
        assert "\n" not in caught.value.problems[0].message


LINES = st.sampled_from(
    [
        *(
            "a: 1",
            "b: 'x'",
            'c: "y\\n"',
            "d: [1, two, {e: 3}]",
            "f:",
            "  - g",
            "  h: i",
            "- j",
            "k: >",
            "  text",
        ),
        *("   more # no comment", "# comment", "m: ~", "n: 1.0", "o: 0x1F", "p: &x 5", "q: *x", "r: !!str 5"),
        *("s: 2026-02-03", "t: yes", "u: {{ v }}", "é: 🌷", "w: a: b", "x: 'it''s'", "---", "...", ""),
        *("\tz: 1", "a: b #c", 'b: "\\ud83d\\ude00"', "c: 1:30", "d: \u2028x", "k: |", "k: >-"),
    ]
)


@given(st.lists(LINES, max_size=8).map("\n".join))
def test_both_readers_read_the_same(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    assume(yaml.__with_libyaml__)
    file = tmp_path_factory.getbasetemp() / "campaign.yaml"
    file.write_text(text, "utf-8")
    found: list[object] = []
    for fast in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(yaml, "__with_libyaml__", fast)
            try:
                document = read_document(file)
                for path in [path for path, written in document.plain.items() if not written]:
                    del document.marks[path]  # where nothing is written, they may be a line apart
                found.append(document)
            except UserError as error:
                found.append(error.problems)
    assert found[0] == found[1]
