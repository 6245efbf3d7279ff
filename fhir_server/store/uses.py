"""What an objection leaves out, as SQL: of what the registry reads for a use, and of what hospitals see.

ADR 0057 says why. The words of streams and types are constants of this module.
"""

import msgspec

from fhir_server.store.objections import (
    HEALTH_RECORD,
    NATIONAL_DATA,
    PARENT_REPORTED,
    RESEARCH_EXTRACT,
)
from fhir_server.store.search.dialect import Dialect
from terminology.systems import CSOR

_LINKED = f'"{CSOR}/sid/hes-'.encode()
"""What the bytes of everything hold that was made of Hospital Episode Statistics or linked deaths."""
_FROM_FAMILIES = ("Observation", "Provenance", "QuestionnaireResponse")
"""The types of what families answer and what is taken from it, where it is the registry's alone."""
_SHARED = ("Bundle", "Group")
"""What is about several children, and stays where one of them objects."""


class Use(msgspec.Struct, frozen=True):
    """What the registry reads for.

    streams: an objection to any of them takes out all that is about the child; shown: the types that
    stay all the same.
    """

    streams: tuple[str, ...]
    shown: tuple[str, ...] = ()


READING = Use((HEALTH_RECORD,), ("Consent", "Patient", "RelatedPerson", "Task"))
"""Looking into records: who the child is stays to be seen, and that somebody objects."""
MEASURING = Use((HEALTH_RECORD,))
"""Measures, comparisons, statistics, and what subscribers are told."""
EXTRACTING = Use((HEALTH_RECORD, RESEARCH_EXTRACT))
"""Records of children that leave the registry, in exports and files."""


def both(one: Use, other: Use) -> Use:
    """Return the use of what is read for two uses."""
    streams = dict.fromkeys((*one.streams, *other.streams))
    return Use(tuple(streams), tuple(each for each in one.shown if each in other.shown))


def unused(use: Use, at: str, dialect: Dialect) -> str:
    """Return SQL for: nobody objects to the use of the version `at`."""
    shown = f" OR {at}.type IN ({_texts(use.shown)})" if use.shown else ""
    about = _objected(f"{at}.whose", use.streams)
    named = f"{at}.whose = 0 AND {at}.type NOT IN ({_texts(_SHARED)}) AND {_named(at, use.streams)}"
    return (
        f"(NOT ({about}) AND NOT ({named}){shown})"
        f" AND NOT ({_answered(at)}) AND NOT ({_is_linked(at, dialect)})"
    )


def undisclosed(hospitals: str, at: str, dialect: Dialect) -> str:
    """Return SQL for: the version `at`, of a child of hospitals, may be disclosed to them.

    Of a child about whose record somebody objects a hospital sees what names its own organisation or
    visit and, where no other one has the child, everything but what the registry computed.
    hospitals: the words of their ODS codes, with commas.
    """
    own = f"s.hospital IN ({hospitals})"
    others = (
        "SELECT 1 FROM custody AS c WHERE c.whose = {at}.whose AND NOT EXISTS"
        f" (SELECT 1 FROM site AS s WHERE s.organization = c.organization AND {own})"
    ).format(at=at)
    names = (
        "SELECT 1 FROM search_reference AS f JOIN site AS s ON s.organization = f.target"
        f" WHERE f.rid = {{rid}} AND {own}"
    )
    visit = (
        f"SELECT 1 FROM search_reference AS g JOIN {dialect.versions} AS e ON e.place = g.target"
        f" AND e.superseded IS NULL AND e.type IN ('Encounter', 'EpisodeOfCare')"
        f" WHERE g.rid = {at}.rid AND EXISTS ({names.format(rid='e.rid')})"
    )
    allowed = (
        f"({at}.type <> 'MeasureReport' AND ({at}.type = 'Patient' OR NOT EXISTS ({others})"
        f" OR EXISTS ({names.format(rid=f'{at}.rid')}) OR EXISTS ({visit})))"
    )
    return (
        f"(NOT EXISTS (SELECT 1 FROM objection AS o WHERE o.whose = {at}.whose)"
        f" OR ((NOT {_objected(f'{at}.whose', (HEALTH_RECORD,))} OR {allowed})"
        f" AND NOT ({_is_linked(at, dialect)})))"
    )


def _objected(whose: str, streams: tuple[str, ...]) -> str:
    return (
        f"EXISTS (SELECT 1 FROM objection AS o WHERE o.whose = {whose}"
        f" AND o.stream IN ({_texts(streams)}))"
    )


def _named(at: str, streams: tuple[str, ...]) -> str:
    """Return SQL for: the version refers to a child about whom somebody objects."""
    return (
        "EXISTS (SELECT 1 FROM search_reference AS f JOIN objection AS o ON o.whose = f.target"
        f" WHERE f.rid = {at}.rid AND o.stream IN ({_texts(streams)}))"
    )


def _answered(at: str) -> str:
    """Return SQL for: the version is what a family has answered, or was taken from it, and one objects."""
    types = _texts(_FROM_FAMILIES)
    return f"{at}.whose = 0 AND {at}.type IN ({types}) AND {_named(at, (PARENT_REPORTED,))}"


def _is_linked(at: str, dialect: Dialect) -> str:
    """Return SQL for: the version was linked from national data, and somebody objects to that."""
    return (
        f"{_objected(f'{at}.whose', (NATIONAL_DATA,))} AND EXISTS (SELECT 1 FROM content AS b"
        f" WHERE b.rid = {at}.rid AND {dialect.has('b.body', _LINKED)})"
    )


def _texts(listed: tuple[str, ...]) -> str:
    return ", ".join(f"'{each}'" for each in listed)
