"""The rules of hl7.fhir.uv.deqm 1.0.0 that a MeasureReport is held to, in our own words.

Read from the profiles deqm-individualmeasurereport, deqm-subjectlistmeasurereport and
deqm-summarymeasurereport: `violations` names each that a report breaks. A masked count (extension
data-absent-reason) is a count: what stands in for it says that there is one.
"""

from collections.abc import Iterator
from typing import Any

Resource = dict[str, Any]

SCORING = "http://hl7.org/fhir/uv/deqm/StructureDefinition/deqm-measureScoring"
NOTATION = "http://hl7.org/fhir/uv/deqm/StructureDefinition/deqm-groupImprovementNotation"
QUANTITY = "http://hl7.org/fhir/StructureDefinition/measurereport-countQuantity"
LINK_ID = "http://hl7.org/fhir/5.0/StructureDefinition/extension-MeasureReport.group."
DIRECTED = {"proportion", "ratio", "continuous-variable"}
DAY = len("2018-01-31")


def violations(report: Resource) -> list[str]:
    """List the rules that a report breaks, each with where."""
    return [*_whole(report), *_groups(report), *_names(report)]


def _whole(report: Resource) -> Iterator[str]:
    if not report["measure"].partition("|")[2]:
        yield "deqm-0: the measure has its version"
    ends = [report.get("period", {}).get(end, "") for end in ("start", "end")]
    if min(map(len, ends)) < DAY:
        yield "deqm-1: the period is given to the day, at both ends"
    for name in ("date", "reporter", "group"):
        if name not in report:
            yield f"cardinality: {name} is there"
    root = _scorings(report)
    grouped = [bool(_scorings(group)) for group in report.get("group", ())]
    if (root and any(grouped)) or (not root and not all(grouped)):
        yield "deqm-3: scoring stands on the report, or on every group, and not on both"
    if set(root) & DIRECTED and "improvementNotation" not in report:
        yield "deqm-2: a scored report says whether more is better"
    if report["type"] != "individual" and report.get("evaluatedResource"):
        yield "cardinality: a report of many names no evaluated resource"


def _groups(report: Resource) -> Iterator[str]:
    root = _scorings(report)
    for group in report.get("group", ()):
        scorings = _scorings(group) or root
        if set(_scorings(group)) & DIRECTED and not _extensions(group, NOTATION):
            yield "deqm-4: a scored group says whether more is better"
        if "composite" not in scorings and not group.get("population"):
            yield "deqm-5: a group has a population"
        for scored in (group, *_strata(group)):
            value = scored.get("measureScore", {}).get("value")
            if "proportion" in scorings and value is not None and not 0 <= value <= 1:
                yield "deqm-6: a proportion is from 0 to 1"
            yield from _populations(report, scored)
        for stratifier in group.get("stratifier", ()):
            parts = any("component" in each for each in stratifier.get("stratum", ()))
            if bool(stratifier.get("code")) == parts:
                yield "deqm-7: the stratifier is coded, or its components are, and not both"


def _populations(report: Resource, scored: Resource) -> Iterator[str]:
    for population in scored.get("population", ()):
        counted = "count" in population or "_count" in population
        if counted == bool(_extensions(population, QUANTITY)):
            yield "deqm-8, deqm-9: a population has a count or a countQuantity, and not both"
        if "code" not in population:
            yield "cardinality: a population has its code"
        if ("subjectResults" in population) != (report["type"] == "subject-list"):
            yield "cardinality: a list of subjects stands in every population of a subject-list alone"


def _names(report: Resource) -> Iterator[str]:
    for group in report.get("group", ()):
        places = [("linkId", [group]), ("population.linkId", group.get("population", ()))]
        for stratifier in group.get("stratifier", ()):
            places.append(("stratifier.linkId", [stratifier]))
        for stratum in _strata(group):
            places.append(("stratifier.stratum.population.linkId", stratum.get("population", ())))
            places.append(("stratifier.stratum.component.linkId", stratum.get("component", ())))
        for name, elements in places:
            if any(len(_extensions(each, LINK_ID + name)) != 1 for each in elements):
                yield f"cardinality: {name} is given once"


def _strata(group: Resource) -> list[Resource]:
    return [each for s in group.get("stratifier", ()) for each in s.get("stratum", ())]


def _scorings(element: Resource) -> list[str]:
    return [
        coding["code"]
        for extension in _extensions(element, SCORING)
        for coding in extension["valueCodeableConcept"]["coding"]
    ]


def _extensions(element: Resource, url: str) -> list[Resource]:
    return [each for each in element.get("extension", ()) if each["url"] == url]
