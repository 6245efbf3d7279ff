"""A hospital's observed outcomes beside those that its own children's risks predict: a group of its report.

The group is a ratio of two observations, observed and expected, in the manner of CQM's ratio measures. What
FHIR has no place for (limits, overdispersion, reliability, power) stands in extensions `report-statistic`.
It is disclosed as all else is: ratio and rates come from rounded counts, and masked counts have none.
http://hl7.org/fhir/uv/cqm/StructureDefinition/cqm-ratiomeasure
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from math import floor, isfinite, log10
from typing import TYPE_CHECKING

from outcome_engine.assessment.assess import ChildOutcome
from outcome_engine.case_mix.model import CaseMixModel
from outcome_engine.extensions import EXTENSION
from outcome_engine.parameter_files.parameter_file import ParameterFile
from outcome_engine.reports.disclosure import HES, comparable, shown
from outcome_engine.reports.groups import HOSPITAL, illustrative, link_id
from r4.issue import FhirError
from r4.json import Resource
from terminology.systems import CSOR

if TYPE_CHECKING:  # they need numpy and scipy, which a server that starts does not
    from outcome_engine.comparison.hospitals import Compared, Comparison, Hospital

GROUP = "observed-expected"
NO_MODEL = (
    "Not compared: no signed case-mix model of this measure is in force on the date of the report."
)
_SCORING = "http://hl7.org/fhir/uv/deqm/StructureDefinition/deqm-measureScoring"
_NOTATION = "http://hl7.org/fhir/uv/deqm/StructureDefinition/deqm-groupImprovementNotation"
_QUANTITY = "http://hl7.org/fhir/StructureDefinition/measurereport-countQuantity"
_DESCRIPTION = "http://hl7.org/fhir/StructureDefinition/measurereport-populationDescription"
_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_MASKED = {"extension": [{"url": _ABSENT, "valueCode": "masked"}]}
_POPULATION = "http://terminology.hl7.org/CodeSystem/measure-population"
_RATIO = {"system": "http://terminology.hl7.org/CodeSystem/measure-scoring", "code": "ratio"}
_DIGITS = Decimal("0.0001")
_OBSERVED = {"extension": [{"url": _DESCRIPTION, "valueMarkdown": f"Of `{GROUP}-numerator`."}]}
_EXPECTED = {
    "extension": [{"url": _DESCRIPTION, "valueMarkdown": f"Of `{GROUP}-initial-population`."}]
}
_COARSE = 2
"""Digits of phi and tau2: with more of them, and no more hospitals, the counts behind them could be tried."""
_TELLING = frozenset({"numerator", "denominator"})
"""Counts of the measure's own group of which one that is masked would be told by what was observed."""


def with_comparison(
    reports: Sequence[Resource],
    outcomes: Sequence[ChildOutcome],
    model: ParameterFile[CaseMixModel] | None,
    refusal: str = NO_MODEL,
) -> list[Resource]:
    """Return the summaries of one measure and period, nation and hospitals, with how each compares.

    outcomes are those of every hospital in the period. Where there is no comparison, without a model among
    others, the report says why. Needs numpy and scipy, and takes a while: not for an event loop.
    """
    if model is None:
        return [_not_compared(report, refusal) for report in reports]
    try:
        comparison = _comparison(outcomes, model.content)
    except FhirError as refused:
        # What else it says has the numbers of children of hospitals in it.
        text = f"Not compared: {refused.issues[0].diagnostics}"
        return [_not_compared(report, text) for report in reports]
    except KeyError as unknown:
        text = f"Not compared: the measure's definition does not give the factor {unknown}."
        return [_not_compared(report, text) for report in reports]
    except ValueError as wrong:
        text = f"Not compared: the case-mix model does not fit the measure's factors: {wrong}."
        return [_not_compared(report, text) for report in reports]
    of = {each.id: each for each in comparison.hospitals}
    return [_by_model(_with_group(report, comparison, of), model) for report in reports]


def _comparison(outcomes: Sequence[ChildOutcome], model: CaseMixModel) -> "Comparison":
    from outcome_engine.case_mix.compared import policy  # noqa: PLC0415 - numpy
    from outcome_engine.comparison.hospitals import compare  # noqa: PLC0415 - numpy and scipy

    return compare(_hospitals(outcomes, model, model.parameters.event), policy(model))


def _hospitals(
    outcomes: Sequence[ChildOutcome], model: CaseMixModel, event: str
) -> "list[Hospital]":
    """Give each hospital's children whose outcome is due and whose risk is known."""
    from outcome_engine.comparison.hospitals import Hospital  # noqa: PLC0415 - numpy and scipy

    found: dict[str, list[tuple[int | None, float]]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.hospital is None or not _is_counted(outcome):
            continue
        chance = model.chance({each.id: each.value for each in outcome.factors})
        if chance is not None:
            known = outcome.outcome_class != "not-yet-known"
            observed = int(outcome.outcome_class == event) if known else None
            found[outcome.hospital].append((observed, chance))
    return [
        Hospital(id, [each[0] for each in found[id]], [each[1] for each in found[id]])
        for id in sorted(found)
    ]


def _is_counted(outcome: ChildOutcome) -> bool:
    counted = outcome.populations
    return "denominator" in counted and "denominator-exclusion" not in counted


def _not_compared(report: Resource, reason: str) -> Resource:
    extension = {"url": EXTENSION + "report-not-compared", "valueMarkdown": reason}
    return {**report, "extension": [*report["extension"], extension]}


def _with_group(
    report: Resource, comparison: "Comparison", of: "Mapping[str, Compared]"
) -> Resource:
    hospitals = [e["valueReference"] for e in report["extension"] if e["url"] == HOSPITAL]
    if not hospitals:
        return _scored_by_group(report, _national(comparison))
    found = of.get(hospitals[0]["reference"])
    if found is None:
        text = (
            f"Not compared: fewer than {comparison.policy.children} of this hospital's children have "
            "an outcome that is known and a risk that can be predicted."
        )
        return _not_compared(report, text)
    return _scored_by_group(report, _of_hospital(found, comparison, _masked(report["group"][0])))


def _masked(group: Resource) -> frozenset[str]:
    """Return which counts of a disclosed group are masked, on their own account or for others'."""
    return frozenset(each["id"] for each in group["population"] if "count" not in each)


def _by_model(report: Resource, model: ParameterFile[CaseMixModel]) -> Resource:
    """Name the model in the group that was made with it; one that is made up marks the whole report."""
    if report["group"][-1]["id"] != GROUP:
        return report
    named = statistic("case-mix-model", text=f"{model.version}, SHA-256 {model.digest}")
    last = report["group"][-1]
    groups = [*report["group"][:-1], {**last, "extension": [*last["extension"], named]}]
    mark = [illustrative()] if model.fictitious else []
    return {**report, "extension": [*report["extension"], *mark], "group": groups}


def _scored_by_group(report: Resource, added: Resource) -> Resource:
    """Add a group that is scored in another way: how each is scored then stands on the groups."""
    scoring = [each for each in report["extension"] if each["url"] == _SCORING]
    notation = {"url": _NOTATION, "valueCodeableConcept": report["improvementNotation"]}
    groups = [
        {**group, "extension": [*group["extension"], *scoring, notation]}
        for group in report["group"]
    ]
    ratio = {"url": _SCORING, "valueCodeableConcept": {"coding": [_RATIO]}}
    added = {**added, "extension": [*added["extension"], ratio, notation]}
    others = [each for each in report["extension"] if each["url"] != _SCORING]
    return {**report, "extension": others, "group": [*groups, added]}


def _national(comparison: "Comparison") -> Resource:
    statistics = [
        statistic("hospitals-compared", value=len(comparison.hospitals)),
        statistic("hospitals-not-compared", value=len(comparison.not_compared)),
        statistic("tau2", value=round(comparison.tau2, _COARSE)),
    ]
    if comparison.together is not None:
        statistics.append(statistic("phi", value=round(comparison.together.phi, _COARSE)))
    if comparison.discrimination is not None:
        statistics.append(statistic("c-statistic", value=comparison.discrimination.value))
    if comparison.calibration is not None:
        intercept = round(comparison.calibration.intercept, _digits_of_intercept(comparison))
        statistics.append(statistic("calibration-intercept", value=intercept))
        if comparison.calibration.slope is not None:
            statistics.append(statistic("calibration-slope", value=comparison.calibration.slope))
    known = sum(each.known for each in comparison.hospitals)
    return _group(known, comparison.observed, comparison.expected, statistics)


def _digits_of_intercept(comparison: "Comparison") -> int:
    """Return with how many digits the intercept leaves: half of the last is no less than rounding hides.

    Events move by the variance of their number times the intercept; with more digits their exact number
    could be computed, and from it that of the hospitals that are not compared.
    """
    variance = sum(each.variance for each in comparison.hospitals)
    return min(-int(_DIGITS.as_tuple().exponent), max(0, floor(log10(variance / HES.round_to))))


def _of_hospital(found: "Compared", comparison: "Comparison", masked: frozenset[str]) -> Resource:
    policy, position = comparison.policy, found.position
    stage = (
        position.stage if position.direction is None else f"{position.stage}-{position.direction}"
    )
    statistics = []
    told = not masked & _TELLING and comparable(found.observed, found.known)
    if told:  # a position narrows a count that is masked
        statistics.append(statistic("position", text=stage))
    for name, limits in (("alert-limits", found.alert), ("alarm-limits", found.alarm)):
        interval = (limits.lower / found.expected, limits.upper / found.expected)
        statistics.append(statistic(name, interval=interval, level=limits.level))
    statistics += [
        statistic("reliability", value=found.reliability),
        *_children(found),
        statistic("power-of-alert", value=found.power_of_alert),
        statistic("power-of-alarm", value=found.power_of_alarm),
        *_missing(found, masked),
    ]
    if policy.leave_one_out:
        text = "Overdispersion is that of the other hospitals: none widens its own limits."
        statistics.append(statistic("leave-one-out", text=text))
    return _group(found.known, found.observed, found.expected, statistics, masked)


def _children(found: "Compared") -> Iterator[Resource]:
    """Say how many children would do, of the rounded number: of the exact one it is a known multiple.

    Where no difference between hospitals is seen, no number would do.
    """
    if isfinite(found.children_for_reliability):
        rounded = (shown(found.known) or 0) / found.known
        value = found.children_for_reliability * rounded
        yield statistic("children-for-reliability", value=value)


def _missing(found: "Compared", masked: frozenset[str]) -> Iterator[Resource]:
    """Say what outcomes that are not known leave open, from rounded counts alone."""
    missing, known, observed = (
        shown(each) for each in (found.missing.count, found.known, found.observed)
    )
    if missing is None or "denominator-exception" in masked:
        yield statistic("missing", text="masked")
        return
    yield statistic("missing", value=missing)
    told = not masked & _TELLING and shown(found.known - found.observed) is not None
    if known and observed is not None and told:
        least, most = observed / (known + missing), (observed + missing) / (known + missing)
        yield statistic("rate-known-only", value=min(1.0, observed / known))
        yield statistic("rate-bounds", interval=(least, min(1.0, most)))


def _group(
    known: int,
    observed: int,
    expected: float,
    statistics: list[Resource],
    masked: frozenset[str] = frozenset(),
) -> Resource:
    others = shown(known - observed)
    seen = shown(observed) if others is not None and not masked & _TELLING else None
    whole = None if "denominator" in masked else shown(known)
    counts: Mapping[str, int | None] = {"initial-population": whole, "numerator": seen}
    built: Resource = {
        "id": GROUP,
        "extension": [link_id("linkId", GROUP), *statistics],
        "code": {"text": "Observed outcomes against those that the case-mix predicts"},
        "population": [
            *(_population(name, name, _count(count)) for name, count in counts.items()),
            _population("measure-observation", "observed", {**_count(seen), **_OBSERVED}),
            _population("measure-observation", "expected", _quantity(expected)),
        ],
    }
    if seen is not None:
        built["measureScore"] = {"value": (Decimal(seen) / Decimal(expected)).quantize(_DIGITS)}
    return built


def _population(code: str, name: str, counted: Resource) -> Resource:
    extensions = [link_id("population.linkId", f"{GROUP}-{name}"), *counted.pop("extension", [])]
    concept = {"coding": [{"system": _POPULATION, "code": code}]}
    return {"id": f"{GROUP}-{name}", "extension": extensions, "code": concept, **counted}


def _count(count: int | None) -> Resource:
    return {"_count": _MASKED} if count is None else {"count": count}


def _quantity(value: float) -> Resource:
    quantity = {"url": _QUANTITY, "valueQuantity": {"value": Decimal(value).quantize(_DIGITS)}}
    return {"extension": [quantity, *_EXPECTED["extension"]]}


def statistic(
    name: str,
    *,
    value: float | None = None,
    interval: tuple[float, float] | None = None,
    level: float | None = None,
    text: str | None = None,
) -> Resource:
    """Build an extension `report-statistic`; name is a code of CodeSystem-report-statistic.

    Numbers have four decimals.
    """
    coding = {"system": f"{CSOR}/CodeSystem/report-statistic", "code": name}
    numbers = {"value": value, "level": level}
    if interval is not None:
        numbers |= {"lower": interval[0], "upper": interval[1]}
    found: list[Resource] = [{"url": "statistic", "valueCoding": coding}]
    for part, number in numbers.items():
        if number is not None:
            found.append({"url": part, "valueDecimal": Decimal(number).quantize(_DIGITS)})
    if text is not None:
        found.append({"url": "text", "valueString": text})
    return {"url": EXTENSION + "report-statistic", "extension": found}
