"""The house's rules that a reader relies on: imports point down, seams have one importer, cites are real."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.markdown import README, ROOT, map_of_rooms

PACKAGE = ROOT / "campaign"

# From the bottom up. A module imports from layers below its own, and within its layer leftwards.
LAYERS = [
    ["errors", "model", "delivery", "clock"],
    ["wording", "address", "verdict", "outfile"],
    ["smtp", "campaignfile", "samples"],
    ["templating", "recipients", "message", "ownfiles"],
    ["ledger", "survey", "preparation", "checks"],
    ["feedback"],
    ["sending"],
    ["report", "preview", "unsubscribe", "rehearsal"],
    ["celery", "cli", "__main__"],
]
ORDER = [name for layer in LAYERS for name in layer]


def modules() -> Iterator[tuple[Path, str]]:
    """Yield each file of the package and the room that it belongs to."""
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE)
        yield path, relative.parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Yield the full names of the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, f"{path}: relative import"
            if node.module.startswith("campaign"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            if node.module != "campaign":
                yield node.module


def test_every_room_has_its_layer() -> None:
    assert {room for _, room in modules()} - {"__init__"} == set(ORDER)


GUIDE = (PACKAGE / "guide" / "architecture.md").read_text("utf-8")


@pytest.mark.parametrize("document", [README, GUIDE], ids=["README", "architecture"])
def test_the_pictures_show_the_same_rooms_in_the_same_order(document: str) -> None:
    layers = [[room for room in layer if room != "__main__"] for layer in LAYERS]
    assert map_of_rooms(document) == layers


def test_the_architecture_tells_of_each_room_from_the_top() -> None:
    told = re.findall(r"^### (\w+)$", GUIDE, re.MULTILINE)
    assert told == [room for layer in reversed(LAYERS) for room in layer if room != "__main__"]


def test_no_files_need_each_other() -> None:
    """Not even by what is imported only where it is used, or only for its type."""
    files = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path, _ in modules()}
    names = {name.removesuffix(".__init__") for name in files.values()}
    needs = {
        name: {other for other in imported(path) if other in names} - {name} for path, name in files.items()
    }
    assert [*TopologicalSorter(needs).static_order()]  # raises CycleError, which names them


def test_imports_point_to_lower_layers_or_leftwards() -> None:
    wrong = []
    for path, room in modules():
        if room == "__init__":
            continue
        for name in imported(path):
            parts = name.split(".")
            if parts[0] == "campaign" and len(parts) > 1 and parts[1] in ORDER:
                other = parts[1]
                if other != room and ORDER.index(other) > ORDER.index(room):
                    wrong.append(f"{path.relative_to(ROOT)} imports {other}")
    assert wrong == []


@pytest.mark.parametrize(
    ("module", "importers"),
    [
        # The network has one; the others are pairs of sockets between this program's own processes.
        (
            "socket",
            {
                "sending/network/transport.py",
                "templating/processes/starting.py",
                "templating/processes/control.py",
                "templating/processes/server.py",
                "templating/processes/spawned.py",
                "templating/processes/alone.py",
            },
        ),
        ("celery", {"celery.py"}),
        ("psycopg", {"ledger/postgres/connection.py", "ledger/postgres/database.py"}),
        ("sqlite3", {"ledger/sqlite/database.py", "ledger/sqlite/opening.py"}),
        (
            "subprocess",
            {
                "campaignfile/secret.py",
                "templating/processes/starting.py",
                "templating/processes/spawned.py",
                "checks/spam.py",
            },
        ),
        ("multiprocessing", set()),
        ("dns", {"checks/dns/lookup.py"}),
        ("tenacity", {"sending/retry.py"}),
        ("smtplib", set()),
        ("email.mime", set()),
    ],
)
def test_a_seam_has_one_importer(module: str, importers: set[str]) -> None:
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path, _ in modules()
        if any(name == module or name.startswith(f"{module}.") for name in imported(path))
    }
    assert found == importers


def test_only_the_ledger_knows_how_it_is_stored() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path, room in modules()
        if room != "ledger"
        and any(
            name.startswith(("campaign.ledger.sqlite", "campaign.ledger.postgres")) for name in imported(path)
        )
    ]
    assert wrong == []
    assert "SELECT" not in (PACKAGE / "ledger" / "ledger.py").read_text("utf-8")


def test_faces_hold_names_only() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("__init__.py")):
        room = path.parent.relative_to(PACKAGE).as_posix()
        for node in ast.parse(path.read_text("utf-8")).body:
            is_name = isinstance(node, ast.Import | ast.ImportFrom | ast.Expr) or (
                isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Name)
                and node.targets[0].id.startswith("__")
            )
            if not is_name:
                wrong.append(f"{room}: line {node.lineno}")
    assert wrong == []


def test_only_the_command_line_prints_or_exits() -> None:
    wrong = []
    for path, room in modules():
        if room in ("cli", "__main__"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("print", "exit")
            ):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert wrong == []


def test_the_command_line_prints_in_one_place() -> None:
    """What a command says goes through `cli/output.py`, where control characters are made visible."""
    wrong = []
    for path in sorted((PACKAGE / "cli").rglob("*.py")):
        if path.name == "output.py":
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and PRINTS.fullmatch(ast.unparse(node.func)):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node.func)}")
    assert wrong == []


PRINTS = re.compile(
    r"print|click\.(echo|secho|echo_via_pager|style|prompt|confirm|pause|clear|progressbar)"
    r"|sys\.std(out|err)\.(buffer\.)?write(lines)?|traceback\.print_\w+|error\.show"
)


def test_no_group_is_repeated_possessively() -> None:
    """Python 3.11.0 to 3.11.4 (Debian 12 has 3.11.2) match `(?:a|b)*+` wrongly, `(?>(?:a|b)*)` rightly."""
    group = re.compile(r"\)(?:[*+?]|\{[0-9,]+\})\+")
    wrong = [
        f"{path.relative_to(ROOT)}:{number}"
        for path, _ in modules()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if group.search(line)
    ]
    assert wrong == []


def test_files_are_of_a_size_to_read() -> None:
    # A file over 350 lines needs a reason, and this is where it is given.
    reasons = {
        "smtp/session.py": "one state machine, whose states are read together",
    }
    long = {
        path.relative_to(PACKAGE).as_posix(): lines
        for path, _ in modules()
        if (lines := len(path.read_text("utf-8").splitlines())) > 350
    }
    assert set(long) <= set(reasons), long
    assert all(lines <= 430 for lines in long.values()), long


CITE = re.compile(r"RFCs? \d+(?:(?:,| and) \d{4}(?![\d.]))*")
WELL_FORMED = re.compile(r"RFC (\d{3,4})(?!\d)((?:(?:,| and) \d{4})*)$")


def cited() -> set[str]:
    """Return the numbers of the RFCs that code cites, as `RFC 5322 3.4` or `RFC 5322, 2047`."""
    found: set[str] = set()
    for path, _ in modules():
        for match in CITE.finditer(path.read_text("utf-8")):
            whole = WELL_FORMED.match(match[0])
            assert whole is not None, f"{path}: {match[0]}"
            found |= set(re.findall(r"\d+", match[0]))
    return found


def table_of_standards() -> Iterator[tuple[set[str], str, str]]:
    """Yield each row of README's table: its RFCs, what is implemented, and what is not, and why."""
    table = README[README.index("## Standards") : README.index("## Working on it")]
    for line in table.splitlines()[1:]:
        if line.startswith("| RFC"):
            standard, implemented, left_out = (cell.strip() for cell in line.strip("|").split("|"))
            yield set(re.findall(r"\b\d{3,4}\b", standard)), implemented, left_out


def test_every_cited_standard_is_in_the_readme() -> None:
    listed = {number for numbers, _, _ in table_of_standards() for number in numbers}
    assert cited() <= listed, sorted(cited() - listed)


def test_every_standard_in_the_readme_is_cited_or_says_why_not() -> None:
    for numbers, implemented, left_out in table_of_standards():
        assert implemented or left_out, numbers
        if implemented:
            assert numbers <= cited(), sorted(numbers - cited())


def test_help_is_instant() -> None:
    """`campaign --help` loads nothing that is slow: no timing, but what has been imported."""
    program = "import sys; from campaign.cli import main; main(['--help']); print(sorted(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    slow = {
        "pydantic",
        "jinja2",
        "yaml",
        "tenacity",
        "css_inline",
        "mistune",
        "aiosmtpd",
        "cryptography",
        "sqlite3",
        "psycopg",
    }
    loaded = set(ast.literal_eval(run.stdout.splitlines()[-1]))
    assert slow & loaded == set()


def test_the_top_level_is_as_the_owner_wants_it() -> None:
    made = {"build", "dist", "venv", "__pycache__"}
    assert {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} - made == {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "campaign",
        "templates",
        "sample_lists",
        "tests",
    }
