"""The roles that people have, and what those of them may do who only read.

What each role of a program may do stands in `access` and `access.hospital`.
"""

from collections.abc import Mapping

from fhir_server.context import ANALYST, HOSPITAL

REGISTRY, SURGEON, PARENT = "registry", "surgeon", "parent"
AUDITOR, INTEGRATOR = "auditor", "integrator"
LEAD, HOSPITAL_ANALYST = "hospital-lead", "hospital-analyst"

APP = "app"
"""Beside a person's roles: an app acts for that person."""

OF_PEOPLE: Mapping[str, frozenset[str]] = {
    "steward": frozenset({REGISTRY}),
    "auditor": frozenset({AUDITOR}),
    "analyst": frozenset({ANALYST}),
    "hospital-lead": frozenset({HOSPITAL, LEAD}),
    "hospital-analyst": frozenset({HOSPITAL, HOSPITAL_ANALYST}),
    "integrator": frozenset({INTEGRATOR}),
}
"""The roles of a principal, by the role that a provider's claims are mapped to."""
OF_HOSPITALS = frozenset({"hospital-lead", "hospital-analyst"})
"""Those of them that are of hospitals, which have to be told."""

_READERS: Mapping[str, str] = {
    LEAD: "people of a hospital read; what it sends, its registered systems write.",
    APP: "an app reads, whatever its user may do.",
    HOSPITAL_ANALYST: "people of a hospital read; what it sends, its registered systems write.",
}
READER_MAY = frozenset(
    {
        "capabilities", "smart-configuration", "read", "vread", "history-instance", "history-type",
        "history-system", "search-type", "search-system", "search-compartment", "$everything",
        "$lastn", "$stats", "$grade", "$document", "$pdf", "$data-requirements", "$validate-code",
        "$lookup", "$subsumes", "$expand", "$translate",
    }
)  # fmt: skip
"""What people of hospitals, and apps, may do: each answers, and stores nothing."""


def unread(roles: frozenset[str], interaction: str) -> str:
    """Say why somebody who only reads may not do an interaction; "" for it may, and for all others."""
    if interaction in READER_MAY:
        return ""
    return next((why for role, why in _READERS.items() if role in roles), "")
