"""What the demo shows of its results: tables by hospital, one child's explanation, and where to look.

All people in it are fictitious.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any
from xml.etree import ElementTree

import httpx
from rich.console import Console
from rich.table import Table

from terminology.systems import CSOR

CORE = f"{CSOR}/Measure/hirschsprung-core-outcome"
TREATMENT_SUCCESS = f"{CSOR}/Measure/treatment-success-score"
SURVIVAL = f"{CSOR}/Measure/necrotising-enterocolitis-survival-1-year"
NOTE = f"{CSOR}/Questionnaire/operative-note-hirschsprung"
SURVEY = f"{CSOR}/Questionnaire/parent-survey-hirschsprung-5-years"
_COUNTS = ("children", "notes", "surveys", "due", "unknown", "good", "share", "interval")
_COMPARED = ("children", "deaths", "expected", "ratio", "95% limits", "position")
_BLOCKS = ("p", "li")
Report = dict[str, Any]


def show(console: Console, http: httpx.Client, reports: dict[str, list[Report]]) -> None:
    """Print the results of the demo; reports are the summaries of each measure."""
    core, scores, survival = reports[CORE], reports[TREATMENT_SUCCESS], reports[SURVIVAL]
    names = {p: http.get(f"/{p}").json()["name"] for p in map(hospital, core + survival) if p}
    console.print(_outcomes(http, core, names))
    console.print(
        "due: children with Hirschsprung's disease who have reached 5 years; unknown: of these, "
        "outcome not known yet. Hospitals' outcome counts are rounded to 5, and * stands for 1 to 7: "
        "the interval, of 95%, then holds whatever it may be.",
        end="\n\n",
    )
    console.print(_comparison(survival, names))
    console.print(
        "expected: by each hospital's own children, from a model that was fitted to them and signed by "
        "the demo itself (illustrative). Deaths are rounded to 5, and the ratio comes from what is shown; "
        "the position comes from the exact number. No ranking: a hospital is seen beside its own "
        "prediction. Inside the limits is no evidence of safety.",
        end="\n\n",
    )
    for line in _treatment_success(scores):
        console.print(line)


def explained(http: httpx.Client, report: Report) -> list[str]:
    """Return the sentences of a child's report, as it is stored in the registry."""
    stored = http.get(f"/MeasureReport/{report['id']}").raise_for_status().json()
    return list(_sentences(stored["text"]["div"]))


def first_bad(reports: Iterable[Report]) -> Report | None:
    """Return the first child's report whose outcome is bad by an event with a date."""
    for report in reports:
        for extension in report["extension"]:
            parts = {part["url"]: part for part in extension.get("extension", ())}
            is_result = extension["url"].endswith("/outcome-result")
            if is_result and parts["class"]["valueCoding"]["code"] == "bad" and "evidence" in parts:
                return report
    return None


def hospital(report: Report) -> str:
    """Return the reference of the hospital that a summary is of, nothing for the nation's."""
    for extension in report["extension"]:
        if extension["url"].endswith("/outcome-hospital"):
            return str(extension["valueReference"]["reference"])
    return ""


def _table(title: str, headings: tuple[str, ...]) -> Table:
    table = Table(title=title, box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("hospital", no_wrap=True, max_width=20)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True, min_width=len(heading))
    return table


def _outcomes(http: httpx.Client, reports: list[Report], names: dict[str, str]) -> Table:
    cases = list(_every(http, "EpisodeOfCare"))
    hospital_of = {c["patient"]["reference"]: c["managingOrganization"]["reference"] for c in cases}
    counts = (
        Counter(hospital_of.values()),
        _by_hospital(http, NOTE, hospital_of),
        _by_hospital(http, SURVEY, hospital_of),
    )
    table = _table("Hirschsprung core outcome by hospital (all children are fictitious)", _COUNTS)
    for report in _in_order(reports, names):
        place = hospital(report)
        ours = [str(count[place] if place else count.total()) for count in counts]
        style = None if place else "bold"
        table.add_row(names.get(place, "All hospitals"), *ours, *_counted(report), style=style)
    return table


def _in_order(reports: list[Report], names: dict[str, str]) -> list[Report]:
    return sorted(reports, key=lambda report: names.get(hospital(report), ""))


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


def _comparison(reports: list[Report], names: dict[str, str]) -> Table:
    title = "Deaths within a year of surgical necrotising enterocolitis, beside what is expected"
    table = _table(title, _COMPARED)
    for report in _in_order(reports, names):
        if place := hospital(report):
            table.add_row(names[place], *_beside(report))
    return table


def _beside(report: Report) -> tuple[str, ...]:
    """Return a hospital's numbers beside its prediction; dashes where it is not compared."""
    group = next((each for each in report["group"] if each["id"] == "observed-expected"), None)
    if group is None:
        return ("-",) * (len(_COMPARED) - 1) + ("not compared",)
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


def _treatment_success(reports: list[Report]) -> Iterator[str]:
    """Yield what the nation's report says of the Treatment Success Score."""
    nation = next(report for report in reports if not hospital(report))
    group = nation["group"][0]
    counts = {each["id"]: each.get("count", "*") for each in group["population"]}
    yield "Treatment Success Score: ILLUSTRATIVE, its parameters are made up."
    mean = group.get("measureScore", {}).get("value")
    scored = counts["measure-observation"]
    yield f"  {scored} of {counts['initial-population']} children are scored; their mean is {mean}."


def _sentences(div: str) -> Iterator[str]:
    """Yield what a narrative says, a line for each paragraph and item."""
    for element in ElementTree.fromstring(div).iter():  # noqa: S314 - our own server's narrative
        if element.tag.rpartition("}")[2] in _BLOCKS:
            yield " ".join("".join(element.itertext()).split())


def _every(http: httpx.Client, query: str) -> Iterator[Report]:
    url: str | None = f"/{query}{'&' if '?' in query else '?'}_count=1000"
    while url:
        page = http.get(url).raise_for_status().json()
        for entry in page.get("entry", []):
            yield entry["resource"]
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)


def _by_hospital(http: httpx.Client, form: str, hospital_of: dict[str, str]) -> Counter[str]:
    responses = _every(http, f"QuestionnaireResponse?questionnaire={form}")
    return Counter(hospital_of.get(found["subject"]["reference"], "?") for found in responses)
