"""A ValueSet with the versions of code systems that a request asks for, and without some of them.

https://hl7.org/fhir/R4/valueset-operation-expand.html
"""

from dataclasses import replace

from r4.json import Resource
from terminology.compose import Members
from terminology.expand import Expand
from terminology.sources import canonical


def pinned(value_set: Resource, asked: Expand) -> Resource:
    """Return a ValueSet whose own includes have the versions that are asked for, where they have none."""
    if not asked.versions or "compose" not in value_set:
        return value_set
    includes = []
    for include in value_set["compose"].get("include", []):
        version = asked.versions.get(canonical(include.get("system", "")))
        if version is not None and "version" not in include:
            include = {**include, "version": version}  # noqa: PLW2901
        includes.append(include)
    return {**value_set, "compose": {**value_set["compose"], "include": includes}}


def less(members: Members, excluded: frozenset[str]) -> Members:
    """Leave out the codes of systems."""
    systems = {canonical(each) for each in excluded}
    if not systems:
        return members
    return replace(
        members,
        codes={s: held for s, held in members.codes.items() if s not in systems},
        undecided=members.undecided - systems,
        rules={s: rule for s, rule in members.rules.items() if s not in systems},
        doubts={s: why for s, why in members.doubts.items() if s not in systems},
    )
