"""What an auditor may do: read who did what, and nothing that anybody has written of a child.

An event has no clinical content: the ids of resources, names of parameters without their values, and who
asked (`interactions.audit_events`).
"""

from collections.abc import Mapping

_EVENTS = frozenset({"AuditEvent"})
AUDITOR_MAY: Mapping[str, frozenset[str | None]] = {
    "capabilities": frozenset({None}),
    "read": _EVENTS,
    "search-type": _EVENTS,
}
"""What an auditor may do, and on which types; not a compartment, for that reads whose it is."""


def may(interaction: str, resource_type: str | None = None) -> bool:
    """Tell whether an auditor may do an interaction on a type."""
    return resource_type in AUDITOR_MAY.get(interaction, ())
