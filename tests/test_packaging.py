"""What is built holds what it should: the wheel what runs, the sdist what a distribution builds and tests."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from campaign import __version__
from tests.markdown import ROOT

MADE = {"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a wheel and an sdist, built from this tree; nothing is downloaded for it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> set[str]:
    """The names of the wheel's files."""
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as file:
        return set(file.namelist())


@pytest.fixture(scope="module")
def sdist(built: Path) -> set[str]:
    """The names of the sdist's files, from its one folder."""
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as file:
        names = [Path(member.name).parts for member in file if not member.isdir()]  # a link too
    assert {parts[0] for parts in names} == {f"campaign-{__version__}"}
    return {"/".join(parts[1:]) for parts in names}


def tree(*folders: str) -> set[str]:
    """The names of this tree's files that belong to the project, below some of its folders."""
    return {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not MADE & set(path.parts) and not path.name.startswith(".coverage")
    }


def test_the_wheel_holds_the_package_and_the_samples(wheel: set[str]) -> None:
    samples = {f"campaign/samples/{name}" for name in tree("templates", "sample_lists")}
    information = {name for name in wheel if name.startswith(f"campaign-{__version__}.dist-info/")}
    assert wheel - information == tree("campaign") | samples
    kept = {name.rpartition("/")[2] for name in information}
    assert {"METADATA", "RECORD", "entry_points.txt", "LICENSE"} <= kept


@pytest.mark.parametrize(
    "name",
    [
        "campaign/py.typed",
        "campaign/guide/architecture.md",
        "campaign/preview/page.html.j2",
        "campaign/report/page.html.j2",
        "campaign/samples/templates/newsletter/campaign.yaml",
        "campaign/samples/templates/mail-merge/statements/ML-0184.pdf",
        "campaign/samples/sample_lists/subscribers.csv",
    ],
)
def test_the_wheel_holds_what_is_no_module(wheel: set[str], name: str) -> None:
    assert name in wheel


def test_the_wheel_has_no_tests(wheel: set[str]) -> None:
    assert [name for name in wheel if "test" in name.split("/")[0] or name.startswith("tests")] == []


def test_the_sdist_holds_the_tree(sdist: set[str]) -> None:
    top = {"README.md", "LICENSE", "pyproject.toml"}
    made = {"PKG-INFO", ".gitignore"}  # hatchling's, and what it leaves out files by
    assert sdist - made == tree("campaign", "templates", "sample_lists", "tests") | top


def test_the_wheel_of_the_sdist_is_the_same(built: Path, wheel: set[str], tmp_path: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as file:
        file.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (again,) = (source / "dist").glob("*.whl")
    with zipfile.ZipFile(again) as wheel_file:
        assert set(wheel_file.namelist()) == wheel


def test_what_the_wheel_holds_is_found_where_it_is_installed(built: Path, tmp_path: Path) -> None:
    """The guide and the samples, from the wheel alone, in another folder."""
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as file:
        file.extractall(tmp_path / "installed")
    for arguments in (["guide", "recipes"], ["init", "letter"], ["check", "letter/campaign.yaml"]):
        program = f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r}); import campaign.cli;"
        program += f"assert 'installed' in campaign.cli.__file__; sys.exit(campaign.cli.main({arguments!r}))"
        done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
