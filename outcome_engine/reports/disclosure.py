"""Small numbers: the last step before a sub-national aggregate leaves.

The rule of Hospital Episode Statistics since September 2018: sub-national counts from 1 to 7 are
not shown, 0 is, others are rounded to 5; percentages need a base of 8 and come from rounded parts.
The interval comes from rounded parts too: from an exact one the exact counts could be computed. Where
the numerator is masked, the interval holds every value that the mask may hide, and no score is shown.

Where a masked count could be computed from what else is shown (strata, totals, other hospitals, the
nation, an earlier version), further counts are masked until at least two numbers are left for it.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from outcome_engine.extensions import EXTENSION
from outcome_engine.reports.disclosure_places import (
    NATION,
    NOT_ASSESSABLE,
    SCORED,
    hospital_of,
    kind_of,
    places,
)
from outcome_engine.reports.groups import OBSERVATION, stratum_of
from outcome_engine.reports.measure_score import interval, measure_score, scored
from r4.issue import FhirError, error
from r4.json import Resource

__all__ = [
    "HES",
    "NOT_ASSESSABLE",
    "Rule",
    "comparable",
    "disclose",
    "disclose_all",
    "disclose_group",
    "disclose_hospitals",
    "shown",
]

_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_MASKED = {"extension": [{"url": _ABSENT, "valueCode": "masked"}]}


@dataclass(frozen=True, slots=True)
class Rule:
    """Counts from 1 to below mask_below are masked, others rounded to a multiple of round_to."""

    mask_below: int = 8
    round_to: int = 5


HES = Rule()


_Key = tuple[int, str, str, str, str]
"""Which count: group (position), hospital, stratifier, stratum, kind of population."""
_Place = tuple[int, str, str, str]
_SUBNATIONAL = "-"
_REST = "rest"


@dataclass(frozen=True, slots=True)
class Masks:
    """The counts that are masked, and of these the ones of which not even the rule's range is told.

    means: the places whose mean is withheld.
    """

    masked: frozenset[_Key] = frozenset()
    vague: frozenset[_Key] = frozenset()
    means: frozenset[_Place] = frozenset()


def disclose(report: Resource, rule: Rule = HES, beside: Sequence[Resource] = ()) -> Resource:
    """Return an exact summary MeasureReport as it may leave: masked, rounded, scores recomputed.

    So are its strata. A score that may not be shown is left out, and the extension
    `outcome-disclosure` says so. What other reports tell of it is not looked at (see `disclose_all`), but
    for the means of those that leave beside it.
    """
    hospital = hospital_of(report) or _SUBNATIONAL
    masks = Masks()
    # Without strata nothing adds up but parts of the same children, and their masks are wide enough.
    if any("stratifier" in group for group in report["group"]):
        masks = _masks([(hospital, report)], (), rule)
    means = _means([(hospital, report), *_with_hospitals(beside)], rule)
    return _disclosed(report, hospital, replace(masks, means=means), rule)


def disclose_hospitals(
    report: Resource, rule: Rule = HES, beside: Sequence[Resource] = ()
) -> Resource:
    """Return an exact national MeasureReport with the strata of its hospitals masked and rounded.

    All else stays exact, but for means of few children, and those by which they could be computed, from
    this report and those that leave beside it. Where all children are of one hospital there is no stratum
    of it: the nation's counts would be its own.
    """
    groups = [_of_several(group) for group in report["group"]]
    if groups != report["group"]:
        report = {**report, "group": groups}
    masks = Masks()
    if any(code == "hospital" for group in groups for code, _ in _strata(group)):
        masks = _masks([(NATION, report)], (), rule)
    means = _means([(NATION, report), *_with_hospitals(beside)], rule)
    return _disclosed(report, NATION, replace(masks, means=means), rule)


def _of_several(group: Resource) -> Resource:
    kept = [
        stratifier
        for code, stratifier in _strata(group)
        if code != "hospital" or len(stratifier["stratum"]) > 1
    ]
    if kept == group.get("stratifier", []):
        return group
    rest = {key: value for key, value in group.items() if key != "stratifier"}
    return {**rest, "stratifier": kept} if kept else rest


def disclose_all(
    reports: Sequence[Resource], earlier: Sequence[Resource] = (), rule: Rule = HES
) -> list[Resource]:
    """Return exact reports of one measure and period, a nation's and hospitals', as they may leave.

    In the order given. No masked count, and no mean of few, can be computed from all of them together; nor
    a masked count, where the
    reports of the same period that were published before are given, from these with them, as long as
    counts only grew. This solves integer programs: it is not for the event loop.
    """
    found, before = _with_hospitals(reports), _with_hospitals(earlier)
    masks = replace(_masks(found, before, rule), means=_means(found, rule))
    return [_disclosed(report, hospital, masks, rule) for hospital, report in found]


def disclose_group(
    report: Resource,
    rest: Resource,
    nation: Resource,
    means: Collection[str] = (),
    rule: Rule = HES,
) -> Resource:
    """Return the exact report of a Group as it may leave, beside the nation's exact counts.

    rest is the exact report of all other children: no masked count of the two can be computed, whoever
    knows them both. means: the stratifiers whose strata's means may leave, empty for that of the whole.
    Like `disclose_all`, this is not for the event loop.
    """
    parts = [(NATION, nation), (_SUBNATIONAL, report), (_REST, rest)]
    masks = _masks(parts, (), rule, is_nation_published=True)
    near = {key[:4] for key, _ in places(report, _SUBNATIONAL) if key.stratifier not in means}
    return _disclosed(report, _SUBNATIONAL, replace(masks, means=frozenset(near)), rule)


def shown(count: int, rule: Rule = HES) -> int | None:
    """Return the count that may be shown, None where it is masked."""
    if 0 < count < rule.mask_below:
        return None
    return (2 * count + rule.round_to) // (2 * rule.round_to) * rule.round_to


def comparable(observed: int, known: int, rule: Rule = HES) -> bool:
    """Tell whether a hospital's ratio, limits and position may be shown.

    They are exempt from the rule, but a ratio times what was expected is the count, and a position
    narrows it: not where the count of events, or of children, is masked.
    """
    return shown(observed, rule) is not None and known >= rule.mask_below


def _with_hospitals(reports: Sequence[Resource]) -> list[tuple[str, Resource]]:
    return [(hospital_of(each), each) for each in reports]


def _means(found: Sequence[tuple[str, Resource]], rule: Rule) -> frozenset[_Place]:
    populations = (kind_of(p) for _, r in found for g in r["group"] for p in g["population"])
    if OBSERVATION not in populations:
        return frozenset()
    from outcome_engine.reports.disclosure_means import withheld  # noqa: PLC0415 - as in _masks

    return withheld(found, rule.mask_below)


def _masks(
    found: Sequence[tuple[str, Resource]],
    before: Sequence[tuple[str, Resource]],
    rule: Rule,
    *,
    is_nation_published: bool = False,
) -> Masks:
    # The solver is a second to import, and most of what is asked of a server needs none.
    from outcome_engine.methods.suppression import UnsolvedError  # noqa: PLC0415

    try:
        return _solved(found, before, rule, is_nation_published)
    except UnsolvedError:
        message = (
            "The counts of so many hospitals and strata cannot be kept from being computed from one another "
            "in the time there is: ask for a shorter period, or for one hospital."
        )
        raise FhirError(422, [error("too-costly", message)]) from None


def _solved(
    found: Sequence[tuple[str, Resource]],
    before: Sequence[tuple[str, Resource]],
    rule: Rule,
    is_nation_published: bool,
) -> Masks:
    from outcome_engine.methods.suppression import fits, suppressed  # noqa: PLC0415
    from outcome_engine.reports.disclosure_table import link_earlier, table_of  # noqa: PLC0415

    counts = table_of(
        found, rule.mask_below, rule.round_to, is_nation_published=is_nation_published
    )
    done = suppressed(counts.table())
    if before:
        link_earlier(counts, before)
        # Where counts were corrected downwards, the two versions say nothing of each other.
        if fits(counts.table(), done.masked):
            done = suppressed(counts.table())
    masked, vague = (
        frozenset(key for key, at in counts.places.items() if at in found)
        for found in (done.masked, done.vague)
    )
    return Masks(masked, vague)


def _disclosed(report: Resource, hospital: str, masks: Masks, rule: Rule) -> Resource:
    groups = [
        _group(group, (at, hospital, "", ""), masks, rule)
        for at, group in enumerate(report["group"])
    ]
    whole = (-1, hospital, "", "", "not-assessable")
    extensions = [_extension(each, whole, masks, rule) for each in report["extension"]]
    # A score that is not there for want of children may not be told from one that is masked.
    unsaid = any(key[1] == hospital and key[4] == SCORED for key in masks.masked)
    applied = _applied(rule, masked=unsaid or _lacks_scores(report["group"], groups))
    if not hospital and (groups, extensions) == (report["group"], report["extension"]):
        return report
    return {**report, "extension": [*extensions, applied], "group": groups}


def _strata(group: Resource) -> Iterator[tuple[str, Resource]]:
    for stratifier in group.get("stratifier", ()):
        yield stratifier["code"][0]["coding"][0]["code"], stratifier


def _group(group: Resource, place: _Place, masks: Masks, rule: Rule) -> Resource:
    made = _part(group, place, masks, rule)
    if "stratifier" in group:
        made["stratifier"] = [
            {
                **stratifier,
                "stratum": [
                    _part(each, _place(place, code, each), masks, rule)
                    for each in stratifier["stratum"]
                ],
            }
            for code, stratifier in _strata(group)
        ]
    return made


def _place(place: _Place, code: str, stratum: Resource) -> _Place:
    of = stratum_of(stratum)
    return (place[0], of, "", "") if code == "hospital" else (place[0], place[1], code, of)


def _part(part: Resource, place: _Place, masks: Masks, rule: Rule) -> Resource:
    """Disclose the counts of a group or a stratum, and what was computed from them."""
    exact = not place[1]
    made = {key: value for key, value in part.items() if key != "measureScore"}
    made["population"] = [
        _population(each, (*place, kind_of(each)) in masks.masked, exact, rule)
        for each in part["population"]
    ]
    if "measureScore" not in part:
        return made
    counts = {kind_of(each): each["count"] for each in part["population"]}
    if OBSERVATION in counts:
        if place not in masks.means and (*place, OBSERVATION) not in masks.masked:
            made["measureScore"] = part["measureScore"]
        return made
    if exact:
        # The score of exact counts is as good as the counts.
        if not any((*place, kind) in masks.masked for kind in (*counts, SCORED)):
            made["measureScore"] = part["measureScore"]
        return made
    numerator = shown(counts["numerator"], rule)
    base = None if (*place, SCORED) in masks.masked else shown(scored(counts), rule)
    if base is None:
        return made
    if (*place, "numerator") in masks.vague:
        return made
    if numerator is None:
        most = min(rule.mask_below - 1, base)
        hidden = interval("wilson-of-masked-range", 1, most, base)
        made["extension"] = [*made.get("extension", []), hidden]
    elif (*place, "numerator") not in masks.masked:
        made["measureScore"] = measure_score(numerator, base, with_interval=True)
    return made


def _population(population: Resource, masked: bool, exact: bool, rule: Rule) -> Resource:
    count = population["count"] if exact else shown(population["count"], rule)
    rest = {key: value for key, value in population.items() if key != "count"}
    if masked or count is None:
        return {**rest, "_count": _MASKED}
    return {**rest, "count": count}


def _extension(extension: Resource, key: _Key, masks: Masks, rule: Rule) -> Resource:
    if extension["url"] != NOT_ASSESSABLE:
        return extension
    count = extension["valueInteger"] if not key[1] else shown(extension["valueInteger"], rule)
    if count is None or key in masks.masked:
        return {"url": NOT_ASSESSABLE, "_valueInteger": _MASKED}
    return {"url": NOT_ASSESSABLE, "valueInteger": count}


def _lacks_scores(exact: Sequence[Resource], disclosed: Sequence[Resource]) -> bool:
    """Tell whether something has no score any more: a group, or a stratum of one."""
    return any(
        "measureScore" in before and "measureScore" not in after
        for before, after in zip(_scored(exact), _scored(disclosed), strict=True)
    )


def _scored(groups: Sequence[Resource]) -> Iterator[Resource]:
    for group in groups:
        yield group
        for _, stratifier in _strata(group):
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
