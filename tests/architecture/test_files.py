"""What no file of the project may be or hold."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = (
    "r4",
    "terminology",
    "profiles",
    "questionnaires",
    "mappings",
    "outcome_engine",
    "fhir_server",
)
LONGEST_FILE = 400
VAGUE = {"utils", "util", "common", "helpers", "helper", "manager", "base", "misc", "handler"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
# Written in pieces, so that this file holds none of what it looks for.
MACHINE_PATHS = re.compile("/" + r"(?:home|Users|root)/\w|" + "/work" + r"/\w")
REGISTRY_HOSTS = re.compile(
    "|".join(
        f"{host}\\.{domain}"
        for host, domain in (
            ("pypi", "org"),
            ("pythonhosted", "org"),
            ("npmjs", "(?:org|com)"),
            ("packages\\.fhir", "org"),
        )
    )
    + "|--(?:extra-)?index" + "-url"
)  # fmt: skip


def tracked() -> list[Path]:
    """List the files that git knows or would add, those it ignores aside."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [file for name in listed.split("\0") if name and (file := ROOT / name).is_file()]


def product() -> list[Path]:
    return [f for f in tracked() if f.suffix == ".py" and f.relative_to(ROOT).parts[0] in PACKAGES]


def named(files: list[Path]) -> list[str]:
    return [str(file.relative_to(ROOT)) for file in files]


def test_a_python_file_can_be_read_in_one_sitting() -> None:
    python = [file for file in tracked() if file.suffix == ".py"]
    assert len(python) > len(PACKAGES)
    too_long = [file for file in python if len(file.read_text().splitlines()) > LONGEST_FILE]
    assert named(too_long) == []


def test_a_name_says_what_is_inside() -> None:
    vague = [file for file in product() if VAGUE & {file.stem, *file.relative_to(ROOT).parts}]
    assert named(vague) == []


def test_nothing_is_left_for_later() -> None:
    assert named([file for file in product() if UNFINISHED.search(file.read_text())]) == []


def test_every_module_says_in_its_first_sentence_what_it_is() -> None:
    silent = [f for f in product() if len(ast.get_docstring(ast.parse(f.read_text())) or "") < 20]
    assert named(silent) == []


@pytest.mark.parametrize("unwanted", [MACHINE_PATHS, REGISTRY_HOSTS], ids=["machine", "registry"])
def test_nothing_points_at_one_machine_or_registry(unwanted: re.Pattern[str]) -> None:
    found = []
    for file in tracked():
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # an image or another binary
        found += [f"{file.relative_to(ROOT)}: {match[0]}" for match in unwanted.finditer(text)]
    assert found == []


def test_the_wheel_holds_the_seven_packages_with_their_artefacts() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = config["tool"]["hatch"]["build"]
    assert set(wheel["targets"]["wheel"]["packages"]) == set(PACKAGES)
    assert "r4/definitions/compiled/*.bin" in wheel["artifacts"]
    assert set(config["tool"]["importlinter"]["root_packages"]) == set(PACKAGES)
    assert all((ROOT / package / "__init__.py").is_file() for package in PACKAGES)


def test_what_is_built_is_not_committed() -> None:
    built = [
        f for f in tracked() if {"compiled", ".venv", ".build", ".demo", ".sandbox"} & set(f.parts)
    ]
    assert named(built) == []
