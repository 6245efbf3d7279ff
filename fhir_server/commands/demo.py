"""`demo`: the main job on synthetic people. Serve, simulate, evaluate, show, and keep serving.

A finished demo is kept in its folder: run again, it only serves. All people in it are fictitious.
"""

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

import outcome_engine
from fhir_server import simulate
from fhir_server.app import clock
from fhir_server.commands import demo_page, demo_results, parameters, server_process
from fhir_server.commands.demo_results import CORE, SURVIVAL, TREATMENT_SUCCESS
from fhir_server.commands.server_process import base
from fhir_server.settings import Settings

PACKAGES = (
    "r4", "terminology", "profiles", "questionnaires", "mappings", "outcome_engine", "fhir_server",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the demo's options."""
    parser.add_argument("--folder", type=Path, default=Path(".demo"), help="where its data is kept")
    parser.add_argument("--fresh", action="store_true", help="begin again with an empty registry")
    parser.add_argument("--size", type=float, default=1.0, help="multiple of the usual cohort")
    parser.add_argument("--results", type=Path, help="a page (Markdown) to write the results to")
    parser.add_argument("--exit", action="store_true", help="stop when the results are shown")


def demo(given: argparse.Namespace) -> int:
    """Run the demo; returns the exit status."""
    console = Console()
    settings = Settings()
    folder: Path = given.folder
    folder.mkdir(parents=True, exist_ok=True)
    options = _options(settings, folder, given.size)
    finished = folder / "finished.json"
    wanted = {
        "start": str(options.start),
        "years": options.years,
        "size": options.size,
        "seed": options.seed,
        "software": _software(),
    }
    is_kept = finished.exists() and json.loads(finished.read_text()) == wanted
    if given.fresh or not is_kept:
        is_kept = False
        shutil.rmtree(folder)
        folder.mkdir()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the server must end with the demo
    started = time.monotonic()
    console.print("1/5 Starting the server and loading its artefacts")
    server = _serve(settings, folder)
    try:
        if is_kept:
            console.print(
                f"2/5 Keeping the registry of the last demo ({folder}; --fresh begins anew)"
            )
        else:
            console.print("2/5 Simulating three years of ten hospitals; all people are fictitious")
            console.print(f"    {simulate.run(options, console)}")
            console.print(
                "3/5 Fitting a case-mix model; signing what is made up, for the demo alone"
            )
            _sign(folder, options)
            server_process.end(server)
            server = _serve(settings, folder)
        found = _results(console, settings, options)
        finished.write_text(json.dumps(wanted))
        if given.results is not None:
            given.results.write_text(demo_page.page(found), encoding="utf-8")
        console.print(f"Ready after {time.monotonic() - started:.0f} s.")
        if given.exit:
            return 0
        console.print("Serving; press Ctrl+C to stop.")
        return server.wait()
    finally:
        server_process.end(server)


def _results(
    console: Console, settings: Settings, options: simulate.Options
) -> demo_results.Results:
    with httpx.Client(base_url=base(settings), timeout=300) as http:
        console.print("4/5 Evaluating every child and hospital by three measures")
        found = demo_results.gathered(http, _evaluate(http, options))
    console.print("5/5 Results", end="\n\n")
    demo_results.show(console, found)
    _where(console, settings)
    return found


def _software() -> str:
    """Return a digest of the software: what another version has simulated is not kept."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for file in sorted(Path(str(files(package))).rglob("*")):
            if file.suffix in (".py", ".csv", ".json", ".toml"):
                digest.update(file.read_bytes())
    return digest.hexdigest()


def _options(settings: Settings, folder: Path, size: float) -> simulate.Options:
    return simulate.Options(
        fhir=base(settings), mllp=f"127.0.0.1:{settings.mllp_port}", size=size,
        ledger=folder / "ledger.ndjson",
    )  # fmt: skip


def _serve(settings: Settings, folder: Path) -> "subprocess.Popen[bytes]":
    """Start the server as a process of its own; raises OSError where it does not come up."""
    environment = {"CSOR_DATABASE": str(folder / "csor.db"), "CSOR_DEMO": "true"}
    if (folder / "signatories.json").exists():
        environment["CSOR_PARAMETERS"] = str(folder / "parameters")
        environment["CSOR_SIGNATORIES"] = str(folder / "signatories.json")
    return server_process.start(settings, environment)


def _sign(folder: Path, options: simulate.Options) -> None:
    """Fit a case-mix model to the simulated children, and sign what is fictitious for the demo.

    Raises ValueError where a command fails, which has said why.
    """
    rows, model = folder / "survival.parquet", folder / "case-mix.json"
    today, (first, last) = clock().date(), _years(options)
    version = outcome_engine.measures()[SURVIVAL]["version"]
    _command(folder, "outcomes", "run", SURVIVAL, "--out", str(rows))
    _command(
        folder, "case-mix", "fit", str(rows), "--measure", f"{SURVIVAL}|{version}",
        "--version", "0.1.0", "--title", "Fictitious model of the demo",
        "--description", "Fitted to simulated children: it says nothing of anybody.",
        "--from", first, "--until", last,
        "--valid-from", str(today), "--valid-until", str(today + timedelta(days=365)),
        "--factor", "gestation", "--fictitious", "--output", str(model),
    )  # fmt: skip
    parameters.illustrate(folder, today, model)


def _years(options: simulate.Options) -> tuple[str, str]:
    """Return the first and the last day of the simulated years."""
    return f"{options.start.year}-01-01", f"{options.start.year + options.years - 1}-12-31"


def _command(folder: Path, *arguments: str) -> None:
    environment = {**os.environ, "CSOR_DATABASE": str(folder / "csor.db")}
    words = [sys.executable, "-m", "fhir_server", *arguments]
    done = subprocess.run(words, env=environment, check=False, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
    if done.returncode:
        raise ValueError(f"`{' '.join(arguments[:2])}` failed; what it said stands above")


def _evaluate(http: httpx.Client, options: simulate.Options) -> dict[str, list[dict[str, Any]]]:
    """Have every child and every hospital evaluated and stored; returns the reports by measure.

    Those of the children with Hirschsprung's disease are under `individual`.
    """
    found = {"individual": _reports(http, options, CORE, "individual")}
    for measure in (CORE, TREATMENT_SUCCESS, SURVIVAL):
        found[measure] = _reports(http, options, measure, "summary")
    return found


def _reports(
    http: httpx.Client, options: simulate.Options, measure: str, kind: str
) -> list[dict[str, Any]]:
    first, last = _years(options)
    asked = {
        "measureUrl": measure,
        "reportType": kind,
        "periodStart": first,
        "periodEnd": last,
    }
    answer = http.post("/Measure/$evaluate", params=asked).raise_for_status().json()
    bundles = [each["resource"] for each in answer.get("parameter", [])]
    listed = [entry["resource"] for bundle in bundles for entry in bundle.get("entry", [])]
    return [each for each in listed if each["resourceType"] == "MeasureReport"]


def _where(console: Console, settings: Settings) -> None:
    """Say where to look; addresses stay whole, however narrow the terminal is."""
    root = base(settings)
    console.print("\nTo look at:")
    for url in (
        f"{root}/metadata?_pretty=true",
        f"{root}/MeasureReport?_summary=count",
        f"{root}/MeasureReport?_count=1&_pretty=true",
        f"{root}/Composition?_count=1&_pretty=true",
        f"{root}/Questionnaire/operative-note-hirschsprung?_pretty=true",
        f"{root.removesuffix('/fhir')}/sign-in (as one of the fictitious people: nobody is checked)",
    ):
        console.print(f"  {url}", soft_wrap=True)
    console.print(f"  HL7 v2 (MLLP): 127.0.0.1:{settings.mllp_port}")
