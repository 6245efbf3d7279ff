"""Imports point one way, and only the named parts know the database, the web framework and the commit."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_import_contracts_hold() -> None:
    run = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_part_of_the_server_stands_in_the_layers() -> None:
    """A part that exists and is named in no layer would be outside every contract."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(c for c in contracts["contracts"] if c.get("exhaustive"))["layers"]
    placed = {name.strip() for layer in layers for name in layer.split("|")}
    parts = {
        entry.stem
        for entry in (ROOT / "fhir_server").iterdir()
        if entry.suffix == ".py" or (entry / "__init__.py").exists()
    }
    assert parts - {"__init__"} == placed
