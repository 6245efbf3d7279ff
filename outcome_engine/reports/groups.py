"""Groups of a report: populations with their counts, the score, and the same of each stratum.

https://hl7.org/fhir/R4/measurereport-definitions.html#MeasureReport.group, with the names that
hl7.fhir.uv.deqm 1.0.0 asks for (extensions linkId).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from outcome_engine.assessment.assess import ChildOutcome
from outcome_engine.extensions import EXTENSION
from outcome_engine.reports.measure_score import mean_score, measure_score, scored
from r4.json import Resource
from terminology.systems import CSOR

STRATIFIER = f"{CSOR}/CodeSystem/outcome-stratifier"
HOSPITAL = EXTENSION + "outcome-hospital"
LINK_ID = "http://hl7.org/fhir/5.0/StructureDefinition/extension-MeasureReport.group."

OBSERVATION = "measure-observation"
_MEASURED = frozenset({"measure-population", "measure-population-exclusion"})
_ILLUSTRATIVE = (
    "Illustrative only: the parameters of this report are made up. It says nothing about any child, "
    "any treatment or any hospital."
)
STRATA: Mapping[str, Callable[[ChildOutcome], str | None]] = {
    "condition": lambda outcome: outcome.condition,
    "year": lambda outcome: outcome.case_date[: len("2018")],
    "hospital": lambda outcome: outcome.hospital,
}
"""Which stratum of a stratifier a child is in, None for none."""


@dataclass(slots=True)
class Lists:
    """The Lists of a report that names the children: one for each set of reports, which may be empty.

    reports maps a child's Patient to the reference of the child's own report.
    """

    reports: Mapping[str, str]
    made: dict[tuple[str, ...], Resource] = field(default_factory=dict)

    def of(self, outcomes: Iterable[ChildOutcome]) -> Resource:
        """Return the Reference to the List of these children's reports."""
        items = tuple(self.reports[outcome.patient] for outcome in outcomes)
        if items not in self.made:
            self.made[items] = _list(f"children-{len(self.made) + 1}", items)
        return {"reference": f"#{self.made[items]['id']}"}

    def contained(self) -> list[Resource]:
        """Return the Lists, to be contained in the report."""
        return list(self.made.values())


@dataclass(frozen=True, slots=True)
class Form:
    """What the groups of a report hold: intervals, strata by these codes, lists of the children.

    scale: how many units of an observation make 1.
    """

    with_interval: bool = False
    strata: tuple[str, ...] = ()
    lists: Lists | None = None
    scale: int = 1


def group(definition: Resource, outcomes: Sequence[ChildOutcome], form: Form) -> Resource:
    """Build a report's group from the Measure's and from the outcomes that are in the period."""
    built: Resource = {
        "id": definition["id"],
        "extension": [link_id("linkId", definition["id"])],
        "code": {"text": definition["description"]},
        **_counted(definition, outcomes, form, "population.linkId"),
    }
    found = [
        _stratifier(definition, each, outcomes, form)
        for each in definition.get("stratifier", ())
        if _code(each) in form.strata
    ]
    if stratifiers := [each for each in found if each["stratum"]]:
        built["stratifier"] = stratifiers
    return built


def stratum_of(stratum: Resource) -> str:
    """Return what a stratum is of: a condition's code, a year, or a hospital's reference."""
    value = stratum["value"]
    found: str = value["coding"][0]["code"] if "coding" in value else value["text"]
    return found


def illustrative() -> Resource:
    """Mark a report that was made with parameters or a model that are made up."""
    return {"url": EXTENSION + "report-illustrative", "valueMarkdown": _ILLUSTRATIVE}


def link_id(element: str, value: str) -> Resource:
    """Name the element of the Measure that an element of a report is of."""
    return {"url": f"{LINK_ID}{element}", "valueString": value}


def _counted(
    definition: Resource, outcomes: Sequence[ChildOutcome], form: Form, element: str
) -> Resource:
    counts: dict[str, int] = {}
    populations = []
    for population in definition["population"]:
        inside = [each for each in outcomes if _is_in(population["id"], each)]
        counts[population["id"]] = len(inside)
        found = {
            "id": population["id"],
            "extension": [link_id(element, population["id"])],
            "code": population["code"],
            "count": len(inside),
        }
        if form.lists is not None:
            found["subjectResults"] = form.lists.of(inside)
        populations.append(found)
    built: Resource = {"population": populations}
    if OBSERVATION in counts:
        observed = [each.observation for each in outcomes if is_measured(each)]
        values = [each for each in observed if each is not None]
        return {**built, "measureScore": mean_score(values, form.scale)} if values else built
    base = scored(counts)
    if base > 0:
        built["measureScore"] = measure_score(counts["numerator"], base, form.with_interval)
    return built


def is_measured(outcome: ChildOutcome) -> bool:
    """Tell whether a child has an observation, and is not left out of those that are counted."""
    measured = {"measure-population"} == outcome.populations & _MEASURED
    return measured and outcome.observation is not None


def _is_in(code: str, outcome: ChildOutcome) -> bool:
    return is_measured(outcome) if code == OBSERVATION else code in outcome.populations


def _stratifier(
    definition: Resource, stratifier: Resource, outcomes: Sequence[ChildOutcome], form: Form
) -> Resource:
    code = _code(stratifier)
    strata: dict[str, list[ChildOutcome]] = defaultdict(list)
    for outcome in outcomes:
        if (key := STRATA[code](outcome)) is not None:
            strata[key].append(outcome)
    element = "stratifier.stratum.population.linkId"
    return {
        "extension": [link_id("stratifier.linkId", stratifier["id"])],
        "code": [stratifier["code"]],
        "stratum": [
            {**_value(code, key), **_unnamed(_counted(definition, strata[key], form, element))}
            for key in sorted(strata)
        ],
    }


def _unnamed(counted: Resource) -> Resource:
    """Leave out the ids, which name the group's own populations."""
    populations = [
        {key: value for key, value in each.items() if key != "id"} for each in counted["population"]
    ]
    return {**counted, "population": populations}


def _value(code: str, key: str) -> Resource:
    if code == "condition":
        return {"value": {"coding": [{"system": f"{CSOR}/CodeSystem/condition", "code": key}]}}
    if code == "hospital":
        about = {"url": HOSPITAL, "valueReference": {"reference": key}}
        return {"extension": [about], "value": {"text": key}}
    return {"value": {"text": key}}


def _code(stratifier: Resource) -> str:
    codings = stratifier.get("code", {}).get("coding", ())
    return next((each["code"] for each in codings if each.get("system") == STRATIFIER), "")


def _list(id: str, items: Sequence[str]) -> Resource:
    built: Resource = {"resourceType": "List", "id": id, "status": "current", "mode": "snapshot"}
    if items:
        built["entry"] = [{"item": {"reference": each}} for each in items]
    return built
