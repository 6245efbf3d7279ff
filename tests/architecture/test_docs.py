"""What the documents name exists: commands, paths, settings and links."""

import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fhir_server.__main__ import parser
from fhir_server.settings import Settings

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TOP = {entry.name for entry in ROOT.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["packages"]
CODE = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
NOT_CARRIED = {
    "r4/definitions/compiled",
    "fhir_server/rest/compiled",
    "outcome_engine/parameters/treatment-success-score.json",
}
"""What a document may name and git does not carry: what is built, and parameters nobody has signed."""

all_documents = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT))
)


def commands(document: Path) -> str:
    """Return what stands in backticks and in code blocks, where commands are written."""
    text = document.read_text()
    blocks = "\n".join(match[2] for match in FENCE.finditer(text))
    return "\n".join(CODE.findall(FENCE.sub("", text))) + "\n" + blocks


def paths(document: Path) -> list[str]:
    """List the relative paths in backticks: `folder/file`, of which the folder is one of ours."""
    named = []
    for code in CODE.findall(FENCE.sub("", document.read_text())):
        path = code.partition(":")[0].rstrip("/")
        if "/" in path and path.partition("/")[0] in TOP and not re.search(r"[\s<>{}$?…*]", path):
            named.append(path)
    return named


def exists(path: str) -> bool:
    absent = any(path.startswith(known) for known in NOT_CARRIED)
    return absent or (ROOT / path).exists()


@all_documents
def test_every_path_in_backticks_is_there(document: Path) -> None:
    assert [path for path in paths(document) if not exists(path)] == []


@all_documents
def test_every_make_target_is_in_the_makefile(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"^\s*make ((?:[a-z-]+ ?)+)$", commands(document), re.MULTILINE))
    assert {target for names in named for target in names.split()} - targets == set()


@all_documents
def test_every_module_and_what_is_named_of_it_is_there(document: Path) -> None:
    text = commands(document)
    named = set(re.findall(rf"(?<![\w./-])(?:{'|'.join(PACKAGES)})(?:\.[a-z_]\w*)+", text))
    named -= {name for name in named if name.rpartition(".")[2] in {"md", "py", "toml", "tgz"}}
    for module, imported in re.findall(r"^from ([\w.]+) import ([\w, ]+)$", text, re.MULTILINE):
        if module.partition(".")[0] in PACKAGES:
            named |= {f"{module}.{name}" for name in imported.split(", ")}
    assert [name for name in sorted(named) if not is_there(name)] == []


def is_there(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


@all_documents
def test_every_command_is_one_that_runs(document: Path) -> None:
    served = server_commands()
    for module, command in re.findall(
        r"python -m ([\w.]+)(?: ([a-z][a-z-]*))?", commands(document)
    ):
        place = ROOT.joinpath(*module.split("."))
        if not (place.is_dir() or place.with_suffix(".py").exists()):
            assert module in {"pip", "venv", "pytest"}, module
        if module == "fhir_server" and command:
            assert command in served


def server_commands() -> set[str]:
    actions = parser()._subparsers._group_actions  # type: ignore[union-attr]
    return set(actions[0].choices)  # type: ignore[arg-type]


@all_documents
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    broken = []
    for link in LINK.findall(FENCE.sub("", document.read_text())):
        if "://" in link or link.startswith("mailto:"):
            continue
        place, _, anchor = link.partition("#")
        target = (document.parent / place).resolve() if place else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def anchors(document: Path) -> set[str]:
    """Return the anchors that a Markdown reader makes of a document's headings."""
    headings = HEADING.findall(FENCE.sub("", document.read_text()))
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


def test_every_setting_is_explained() -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()
    named = re.findall(r"^\| `(CSOR_\w+)` \| `.*` \| (.+) \|$", page, re.MULTILINE)
    assert {name for name, _ in named} == {f"CSOR_{name.upper()}" for name in Settings.model_fields}
    assert all(meaning.endswith(".") for _, meaning in named)


@all_documents
def test_every_setting_that_is_named_is_one(document: Path) -> None:
    known = {f"CSOR_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"\bCSOR_[A-Z][A-Z_]*[A-Z]\b", document.read_text())) - known == set()


def test_the_reference_is_what_the_code_writes() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "fhir_server", "docs", "--check"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_readme_shows_the_two_commands_and_its_targets_have_help() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme
    for target in re.findall(r"^\| `make ([a-z-]+)` \|", readme, re.MULTILINE):
        assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE) or (
            target in {"lint", "types", "architecture", "docs"}
        )


def test_the_readme_lists_every_command_and_every_target_that_has_help() -> None:
    readme = (ROOT / "README.md").read_text()
    [line] = [each for each in readme.splitlines() if "lists the server's own commands" in each]
    listed = re.findall(r"`([a-z-]+)`", line.partition("commands:")[2].partition(". ")[0])
    assert set(listed) == server_commands()
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    described = re.findall(r"^\| `make ([a-z-]+)` \|", readme, re.MULTILINE)
    assert set(targets) - set(described) == {"help", "setup"}


@all_documents
def test_every_decision_that_is_linked_bears_its_own_number(document: Path) -> None:
    links = re.findall(
        r"\[(?:ADR )?(\d+)\]\((?:[\w./]*/)?(\d{4})-[\w-]+\.md\)", document.read_text()
    )
    assert [(said, number) for said, number in links if int(said) != int(number)] == []


def test_every_decision_has_its_four_parts_and_its_own_number() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    for record in records:
        text = record.read_text()
        assert text.startswith(f"# {int(record.name[:4])}. ")
        for part in ("Context", "Decision", "Status", "Consequences"):
            assert f"\n## {part}\n" in text, f"{record.name} lacks {part}"
