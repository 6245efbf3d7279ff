"""`demo`: the main job on synthetic people. Serve, simulate, evaluate, show, and keep serving.

A finished demo is kept in its folder: run again, it only serves. All people in it are fictitious.
"""

import argparse
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from fhir_server import simulate
from fhir_server.settings import Settings
from terminology.systems import CSOR

MEASURE = f"{CSOR}/Measure/hirschsprung-core-outcome"
TREATMENT_SUCCESS = f"{CSOR}/Measure/treatment-success-score"
NOTE = f"{CSOR}/Questionnaire/operative-note-hirschsprung"
SURVEY = f"{CSOR}/Questionnaire/parent-survey-hirschsprung-5-years"
START_SECONDS = 30
PACKAGES = (
    "r4", "terminology", "profiles", "questionnaires", "mappings", "outcome_engine", "fhir_server",
)  # fmt: skip
HEADINGS = (
    "children", "notes", "surveys", "due", "unknown", "good", "share", "interval",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the demo's options."""
    parser.add_argument("--folder", type=Path, default=Path(".demo"), help="where its data is kept")
    parser.add_argument("--fresh", action="store_true", help="begin again with an empty registry")
    parser.add_argument("--size", type=float, default=1.0, help="multiple of the usual cohort")
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
    if given.fresh or not finished.exists() or json.loads(finished.read_text()) != wanted:
        for file in folder.iterdir():
            file.unlink()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the server must end with the demo
    started = time.monotonic()
    console.print("1/4 Starting the server and loading its artefacts")
    server = _serve(settings, folder)
    try:
        if finished.exists():
            console.print(
                f"2/4 Keeping the registry of the last demo ({folder}; --fresh begins anew)"
            )
        else:
            console.print("2/4 Simulating three years of ten hospitals; all people are fictitious")
            summary = simulate.run(options, console)
            console.print(f"    {summary}")
        with httpx.Client(base_url=_base(settings), timeout=300) as http:
            console.print(
                "3/4 Evaluating the Hirschsprung core outcome for every child and hospital"
            )
            reports = _evaluate(http, options)
            console.print("4/4 Results", end="\n\n")
            _show(console, http, reports, settings)
        finished.write_text(json.dumps(wanted))
        console.print(f"Ready after {time.monotonic() - started:.0f} s.")
        if given.exit:
            return 0
        console.print("Serving; press Ctrl+C to stop.")
        return server.wait()
    finally:
        server.terminate()
        server.wait()


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
        fhir=_base(settings), mllp=f"127.0.0.1:{settings.mllp_port}", size=size,
        ledger=folder / "ledger.ndjson",
    )  # fmt: skip


def _base(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings.fhir_port}/fhir"


def _serve(settings: Settings, folder: Path) -> "subprocess.Popen[bytes]":
    """Start the server as a process of its own; raises OSError where it does not come up."""
    for port in (settings.fhir_port, settings.mllp_port):
        _refuse_taken(port)
    environment = {**os.environ, "CSOR_DATABASE": str(folder / "csor.db")}
    server = subprocess.Popen([sys.executable, "-m", "fhir_server", "serve"], env=environment)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            health = f"http://127.0.0.1:{settings.fhir_port}/health"
            if httpx.get(health, timeout=2).is_success:
                time.sleep(0.1)
                if server.poll() is None:
                    return server
        except httpx.TransportError:
            time.sleep(0.1)
    server.kill()
    raise OSError("the server did not come up; what it said stands above")


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            text = f"port {port} is taken; CSOR_FHIR_PORT and CSOR_MLLP_PORT choose others"
            raise OSError(text) from None


def _evaluate(http: httpx.Client, options: simulate.Options) -> list[dict[str, Any]]:
    """Have every child and every hospital evaluated and stored; returns the summary reports."""
    period = {"periodStart": f"{options.start.year}-01-01",
              "periodEnd": f"{options.start.year + options.years - 1}-12-31"}  # fmt: skip
    reports: list[dict[str, Any]] = []
    for kind in ("individual", "summary"):
        asked = {"measureUrl": MEASURE, "reportType": kind, **period}
        answer = http.post("/Measure/$evaluate", params=asked)
        answer.raise_for_status()
        bundles = [each["resource"] for each in answer.json().get("parameter", [])]
        found = [e["resource"] for bundle in bundles for e in bundle.get("entry", [])]
        reports = [each for each in found if each["resourceType"] == "MeasureReport"]
    return reports


def _show(
    console: Console, http: httpx.Client, reports: list[dict[str, Any]], settings: Settings
) -> None:
    cases = list(_every(http, "EpisodeOfCare"))
    hospital_of = {c["patient"]["reference"]: c["managingOrganization"]["reference"] for c in cases}
    counts = {
        "children": Counter(hospital_of.values()),
        "notes": _by_hospital(http, NOTE, hospital_of),
        "surveys": _by_hospital(http, SURVEY, hospital_of),
    }
    title = "Hirschsprung core outcome by hospital (all children are fictitious)"
    table = Table(title=title, box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("hospital", no_wrap=True, max_width=20)
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True, min_width=len(heading))
    names = {p: http.get(f"/{p}").json()["name"] for p in map(_hospital, reports) if p}
    for report in sorted(reports, key=lambda report: names.get(_hospital(report), "")):
        place = _hospital(report)
        name = names.get(place, "All hospitals")
        ours = [str(c[place] if place else c.total()) for c in counts.values()]
        table.add_row(name, *ours, *_outcome(report), style=None if place else "bold")
    console.print(table)
    console.print(
        "due: children with Hirschsprung's disease who have reached 5 years; unknown: of these, "
        "outcome not known yet. Hospitals' outcome counts are rounded to 5, and * stands for 1 to 7: "
        "the interval, of 95%, then holds whatever it may be.",
        end="\n\n",
    )
    refused = http.get(
        "/Measure/$evaluate",
        params={
            "measureUrl": TREATMENT_SUCCESS,
            "periodStart": "2018-01-01",
            "periodEnd": "2018-12-31",
        },
    )
    said = refused.json()["issue"]
    console.print(f"The Treatment Success Score is refused ({refused.status_code}):")
    for issue in said[:3]:
        console.print(f"  {issue['diagnostics']}")
    if len(said) > 3:  # noqa: PLR2004
        console.print(f"  … and {len(said) - 3} more")
    base = _base(settings)
    console.print("\nTo look at:")
    for url in (
        f"{base}/metadata?_pretty=true",
        f"{base}/MeasureReport?_summary=count",
        f"{base}/MeasureReport?_count=1&_pretty=true",
        f"{base}/Composition?_count=1&_pretty=true",
        f"{base}/Questionnaire/operative-note-hirschsprung?_pretty=true",
    ):
        console.print(f"  {url}")
    console.print(f"  HL7 v2 (MLLP): 127.0.0.1:{settings.mllp_port}")


def _every(http: httpx.Client, query: str) -> Iterator[dict[str, Any]]:
    url: str | None = f"/{query}{'&' if '?' in query else '?'}_count=1000"
    while url:
        page = http.get(url).raise_for_status().json()
        for entry in page.get("entry", []):
            yield entry["resource"]
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)


def _by_hospital(http: httpx.Client, form: str, hospital_of: dict[str, str]) -> Counter[str]:
    responses = _every(http, f"QuestionnaireResponse?questionnaire={form}")
    return Counter(hospital_of.get(found["subject"]["reference"], "?") for found in responses)


def _hospital(report: dict[str, Any]) -> str:
    for extension in report["extension"]:
        if extension["url"].endswith("/outcome-hospital"):
            return str(extension["valueReference"]["reference"])
    return ""


def _outcome(report: dict[str, Any]) -> tuple[str, ...]:
    """Return due, not yet known, good, proportion and interval as they may be shown."""
    group = report["group"][0]
    count = {p["id"]: p.get("count", "*") for p in group["population"]}
    score = group.get("measureScore", {})
    good = f"{score['value']:.0%}" if "value" in score else "*"
    extensions = [*score.get("extension", ()), *group.get("extension", ())]
    interval = next((e for e in extensions if e["url"].endswith("/outcome-interval")), None)
    ends = (
        {part["url"]: part.get("valueDecimal") for part in interval["extension"]}
        if interval
        else {}
    )
    shown = f"{ends['lower']:.0%}-{ends['upper']:.0%}" if interval else "*"
    listed = (count["denominator"], count["denominator-exception"], count["numerator"])
    return (*(str(each) for each in listed), good, shown)
