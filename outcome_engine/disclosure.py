"""Small numbers: the last step before a sub-national aggregate leaves.

The rule of Hospital Episode Statistics since September 2018: sub-national counts from 1 to 7 are
not shown, 0 is, others are rounded to 5; percentages need a base of 8 and come from rounded parts.
The interval comes from rounded parts too: from an exact one the exact counts could be computed. Where
the numerator is masked, the interval holds every value that the mask may hide, and no score is shown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from outcome_engine.definition import EXTENSION
from outcome_engine.score import interval, measure_score, scored
from r4.json import Resource

NOT_ASSESSABLE = EXTENSION + "outcome-not-assessable"
"""Extension on a summary: the number of children who could not be assessed, and are not counted."""

_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_MASKED = {"extension": [{"url": _ABSENT, "valueCode": "masked"}]}


@dataclass(frozen=True, slots=True)
class Rule:
    """Counts from 1 to below mask_below are masked, others rounded to a multiple of round_to."""

    mask_below: int = 8
    round_to: int = 5


HES = Rule()


def disclose(report: Resource, rule: Rule = HES) -> Resource:
    """Return an exact summary MeasureReport as it may leave: masked, rounded, scores recomputed.

    So are its strata. A score that may not be shown is left out, and the extension
    `outcome-disclosure` says so.
    """
    groups = [_group(group, rule) for group in report["group"]]
    extensions = [_extension(each, rule) for each in report["extension"]]
    masked = _lacks_scores(report["group"], groups)
    return {**report, "extension": [*extensions, _applied(rule, masked)], "group": groups}


def disclose_hospitals(report: Resource, rule: Rule = HES) -> Resource:
    """Return an exact national MeasureReport with the strata of its hospitals masked and rounded."""
    groups = [
        {**group, "stratifier": [_of_hospitals(each, rule) for each in group["stratifier"]]}
        if "stratifier" in group
        else group
        for group in report["group"]
    ]
    if groups == report["group"]:
        return report
    masked = _lacks_scores(report["group"], groups)
    return {**report, "extension": [*report["extension"], _applied(rule, masked)], "group": groups}


def _of_hospitals(stratifier: Resource, rule: Rule) -> Resource:
    codings = stratifier["code"][0]["coding"]
    return _stratifier(stratifier, rule) if codings[0]["code"] == "hospital" else stratifier


def _stratifier(stratifier: Resource, rule: Rule) -> Resource:
    return {**stratifier, "stratum": [_group(each, rule) for each in stratifier["stratum"]]}


def _lacks_scores(exact: Sequence[Resource], disclosed: Sequence[Resource]) -> bool:
    """Tell whether something has no score any more: a group, or a stratum of one."""
    return any(
        "measureScore" in before and "measureScore" not in after
        for before, after in zip(_scored(exact), _scored(disclosed), strict=True)
    )


def _scored(groups: Sequence[Resource]) -> Iterator[Resource]:
    for group in groups:
        yield group
        for stratifier in group.get("stratifier", ()):
            yield from stratifier["stratum"]


def _applied(rule: Rule, masked: bool) -> Resource:
    return {
        "url": EXTENSION + "outcome-disclosure",
        "extension": [
            {"url": "maskBelow", "valueInteger": rule.mask_below},
            {"url": "roundTo", "valueInteger": rule.round_to},
            {"url": "scoreMasked", "valueBoolean": masked},
        ],
    }


def shown(count: int, rule: Rule = HES) -> int | None:
    """Return the count that may be shown, None where it is masked."""
    if 0 < count < rule.mask_below:
        return None
    return (2 * count + rule.round_to) // (2 * rule.round_to) * rule.round_to


def _group(group: Resource, rule: Rule) -> Resource:
    counts = {_name(population): population["count"] for population in group["population"]}
    disclosed = {key: value for key, value in group.items() if key != "measureScore"}
    disclosed["population"] = [_population(each, rule) for each in group["population"]]
    if "measureScore" in group:
        numerator, base = shown(counts["numerator"], rule), shown(scored(counts), rule)
        if numerator is not None and base is not None:
            disclosed["measureScore"] = measure_score(numerator, base, with_interval=True)
        elif base is not None:
            most = min(rule.mask_below - 1, base)
            masked = interval("wilson-of-masked-range", 1, most, base)
            disclosed["extension"] = [*disclosed.get("extension", []), masked]
    if "stratifier" in group:
        disclosed["stratifier"] = [_stratifier(each, rule) for each in group["stratifier"]]
    return disclosed


def _name(population: Resource) -> str:
    """Return the id of a group's population, or the code of a stratum's, which has no id."""
    found: str = population.get("id") or population["code"]["coding"][0]["code"]
    return found


def _extension(extension: Resource, rule: Rule) -> Resource:
    if extension["url"] != NOT_ASSESSABLE:
        return extension
    count = shown(extension["valueInteger"], rule)
    value: Resource = {"_valueInteger": _MASKED} if count is None else {"valueInteger": count}
    return {"url": NOT_ASSESSABLE, **value}


def _population(population: Resource, rule: Rule) -> Resource:
    count = shown(population["count"], rule)
    rest = {key: value for key, value in population.items() if key != "count"}
    return {**rest, "_count": _MASKED} if count is None else {**rest, "count": count}
