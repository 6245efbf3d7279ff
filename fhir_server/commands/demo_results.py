"""What the demo shows of its results: two tables by hospital, a score, and one child's explanation.

All people in it are fictitious.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import httpx
from rich.console import Console
from rich.table import Table

from terminology.systems import CSOR, NHS_NUMBER

CORE = f"{CSOR}/Measure/hirschsprung-core-outcome"
TREATMENT_SUCCESS = f"{CSOR}/Measure/treatment-success-score"
SURVIVAL = f"{CSOR}/Measure/necrotising-enterocolitis-survival-1-year"
NOTE = f"{CSOR}/Questionnaire/operative-note-hirschsprung"
SURVEY = f"{CSOR}/Questionnaire/parent-survey-hirschsprung-5-years"
ALL = "All hospitals"
_BLOCKS = ("p", "li")
Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ByHospital:
    """A measure's summaries as they may be shown: a row for each hospital, the nation's first if any."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """The nation's Treatment Success Scores: how many children, how many of them scored, their mean."""

    children: int
    scored: int
    mean: str


@dataclass(frozen=True, slots=True)
class Results:
    """What a demo has found. `child` is the narrative (XHTML) of one bad outcome, if there is one."""

    measures: tuple[str, ...]
    computed_on: str
    outcomes: ByHospital
    survival: ByHospital
    scores: Scored
    child: str | None


def gathered(http: httpx.Client, reports: Mapping[str, Sequence[Report]]) -> Results:
    """Return the results that reports hold: the summaries of each measure, and `individual` ones."""
    core, survival, scores = reports[CORE], reports[SURVIVAL], reports[TREATMENT_SUCCESS]
    names = {p: http.get(f"/{p}").json()["name"] for p in map(_hospital, (*core, *survival)) if p}
    bad = _first_bad(http, reports["individual"])
    return Results(
        measures=tuple(each[0]["measure"] for each in (core, survival, scores)),
        computed_on=core[0]["date"][: len("2026-01-31")],
        outcomes=_outcomes(http, core, names),
        survival=_survival(survival, names),
        scores=_scores(scores),
        child=None if bad is None else _narrative(http, bad),
    )


def show(console: Console, found: Results) -> None:
    """Print the results of the demo."""
    console.print(_printed(found.outcomes))
    console.print(
        "due: children with Hirschsprung's disease who have reached 5 years; unknown: of these, "
        "outcome not known yet. Hospitals' outcome counts are rounded to 5, and * stands for 1 to 7: "
        "the interval, of 95%, then holds whatever it may be.",
        end="\n\n",
    )
    console.print(_printed(found.survival))
    console.print(
        "expected: by each hospital's own children, from a model that was fitted to them and signed by "
        "the demo itself (illustrative). Deaths are rounded to 5, and the ratio comes from what is shown; "
        "the position comes from the exact number. No ranking: a hospital is seen beside its own "
        "prediction. Inside the limits is no evidence of safety.",
        end="\n\n",
    )
    scores = found.scores
    console.print("Treatment Success Score: ILLUSTRATIVE, its parameters are made up.")
    console.print(
        f"  {scores.scored} of {scores.children} children are scored; their mean is {scores.mean}."
    )
    if found.child is not None:
        console.print("\nOne child's outcome, as its surgeon reads it:")
        for sentence in sentences(found.child):
            console.print(f"  {sentence}")


def sentences(div: str) -> Iterator[str]:
    """Yield what a narrative says, a line for each paragraph and item."""
    for element in ElementTree.fromstring(div).iter():  # noqa: S314 - our own server's narrative
        if element.tag.rpartition("}")[2] in _BLOCKS:
            yield " ".join("".join(element.itertext()).split())


def _first_bad(http: httpx.Client, reports: Iterable[Report]) -> Report | None:
    """Return the child's report whose outcome is bad by an event: of several, the least NHS number's.

    Ids are drawn anew for each registry; the numbers are the same for a seed.
    """
    numbers = {
        f"Patient/{child['id']}": each["value"]
        for child in _every(http, "Patient")
        for each in child.get("identifier", ())
        if each.get("system") == NHS_NUMBER
    }
    bad = [each for each in reports if _is_bad(each)]
    return min(bad, key=lambda each: numbers.get(each["subject"]["reference"], "~"), default=None)


def _is_bad(report: Report) -> bool:
    for extension in report["extension"]:
        if extension["url"].endswith("/outcome-result"):
            parts = {part["url"]: part for part in extension["extension"]}
            return parts["class"]["valueCoding"]["code"] == "bad" and "evidence" in parts
    return False


def _narrative(http: httpx.Client, report: Report) -> str:
    """Return a report's narrative, as it is stored in the registry."""
    stored = http.get(f"/MeasureReport/{report['id']}").raise_for_status().json()
    return str(stored["text"]["div"])


def _hospital(report: Report) -> str:
    """Return the reference of the hospital that a summary is of, nothing for the nation's."""
    for extension in report["extension"]:
        if extension["url"].endswith("/outcome-hospital"):
            return str(extension["valueReference"]["reference"])
    return ""


def _printed(found: ByHospital) -> Table:
    table = Table(title=found.title, box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("hospital", no_wrap=True, max_width=20)
    for heading in found.headings:
        table.add_column(heading, justify="right", no_wrap=True, min_width=len(heading))
    for row in found.rows:
        table.add_row(*row, style="bold" if row[0] == ALL else None)
    return table


def _outcomes(
    http: httpx.Client, reports: Sequence[Report], names: Mapping[str, str]
) -> ByHospital:
    cases = list(_every(http, "EpisodeOfCare"))
    hospital_of = {c["patient"]["reference"]: c["managingOrganization"]["reference"] for c in cases}
    counts = (
        Counter(hospital_of.values()),
        _by_hospital(http, NOTE, hospital_of),
        _by_hospital(http, SURVEY, hospital_of),
    )
    rows = []
    for report in _in_order(reports, names):
        place = _hospital(report)
        ours = [str(count[place] if place else count.total()) for count in counts]
        rows.append((names.get(place, ALL), *ours, *_counted(report)))
    return ByHospital(
        "Hirschsprung core outcome by hospital (all children are fictitious)",
        ("children", "notes", "surveys", "due", "unknown", "good", "share", "interval"),
        tuple(rows),
    )


def _in_order(reports: Iterable[Report], names: Mapping[str, str]) -> list[Report]:
    return sorted(reports, key=lambda report: names.get(_hospital(report), ""))


def _counted(report: Report) -> tuple[str, ...]:
    """Return due, not yet known, good, proportion and interval as they may be shown."""
    group = report["group"][0]
    count = {p["id"]: p.get("count", "*") for p in group["population"]}
    score = group.get("measureScore", {})
    good = f"{score['value']:.0%}" if "value" in score else "*"
    extensions = [*score.get("extension", ()), *group.get("extension", ())]
    interval = next((e for e in extensions if e["url"].endswith("/outcome-interval")), None)
    ends = {part["url"]: part.get("valueDecimal") for part in (interval or {}).get("extension", ())}
    shown = f"{ends['lower']:.0%}-{ends['upper']:.0%}" if interval else "*"
    listed = (count["denominator"], count["denominator-exception"], count["numerator"])
    return (*(str(each) for each in listed), good, shown)


def _survival(reports: Sequence[Report], names: Mapping[str, str]) -> ByHospital:
    headings = ("children", "deaths", "expected", "ratio", "95% limits", "position")
    rows = []
    for report in _in_order(reports, names):
        if place := _hospital(report):
            beside = _beside(report) or ("-",) * (len(headings) - 1) + ("not compared",)
            rows.append((names[place], *beside))
    return ByHospital(
        "Deaths within a year of surgical necrotising enterocolitis, beside what is expected",
        headings,
        tuple(rows),
    )


def _beside(report: Report) -> tuple[str, ...] | None:
    """Return a hospital's numbers beside its prediction; nothing where it is not compared."""
    group = next((each for each in report["group"] if each["id"] == "observed-expected"), None)
    if group is None:
        return None
    count = {each["id"].rpartition("-")[2]: each for each in group["population"]}
    expected = count["expected"]["extension"]
    ratio = group.get("measureScore", {}).get("value")
    said = dict(_statistics(group))
    limits = said["alert-limits"]
    return (
        str(count["population"].get("count", "*")),
        str(count["observed"].get("count", "*")),
        next(f"{e['valueQuantity']['value']:.1f}" for e in expected if "valueQuantity" in e),
        "*" if ratio is None else f"{ratio:.2f}",
        f"{limits['lower']:.2f}-{limits['upper']:.2f}",
        str(said.get("position", {}).get("text", "*")),
    )


def _statistics(group: Report) -> Iterator[tuple[str, Report]]:
    """Yield the code and the parts of each statistic of a group."""
    for extension in group["extension"]:
        if extension["url"].endswith("/report-statistic"):
            parts = {
                part["url"]: next(value for key, value in part.items() if key != "url")
                for part in extension["extension"]
            }
            yield parts["statistic"]["code"], parts


def _scores(reports: Iterable[Report]) -> Scored:
    """Return what the nation's report says of the Treatment Success Score."""
    nation = next(report for report in reports if not _hospital(report))
    group = nation["group"][0]
    counts = {each["id"]: each["count"] for each in group["population"]}
    mean = group.get("measureScore", {}).get("value")
    return Scored(counts["initial-population"], counts["measure-observation"], str(mean))


def _every(http: httpx.Client, query: str) -> Iterator[Report]:
    url: str | None = f"/{query}{'&' if '?' in query else '?'}_count=1000"
    while url:
        page = http.get(url).raise_for_status().json()
        for entry in page.get("entry", []):
            yield entry["resource"]
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)


def _by_hospital(http: httpx.Client, form: str, hospital_of: Mapping[str, str]) -> Counter[str]:
    responses = _every(http, f"QuestionnaireResponse?questionnaire={form}")
    return Counter(hospital_of.get(found["subject"]["reference"], "?") for found in responses)
