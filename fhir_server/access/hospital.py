"""What a hospital's own system may do: each interaction with its reason; what is not listed is refused.

What it sees by what it may do is decided where it is read (`store.view`), and of whom it may write where
it is stored (`store.permission`).
"""

from collections.abc import Mapping
from typing import NamedTuple

from fhir_server.store.permission import is_writable


class Rule(NamedTuple):
    """Whether an interaction is a hospital's, and why; types: on these alone (None: on whatever it is)."""

    is_allowed: bool
    why: str
    types: frozenset[str | None] | None = None


_SEES = "It is answered from what the hospital sees, and from nothing else."
_OPEN = "It is about no child."
_WRITES = "What is written is checked to be about the hospital's own children, where it is stored."
_REPORTS = "Reports are made by the registry; those of the hospital and of the nation are read."
_NOTES = "A note is signed by its surgeon, in a session that the hospital's EPR has launched."
_TOPICS = "Subscriptions are the registry's: they are notified of all children."

HOSPITAL_MAY: Mapping[str, Rule] = {
    "capabilities": Rule(True, _OPEN),
    "smart-configuration": Rule(True, _OPEN),
    "read": Rule(True, _SEES),
    "vread": Rule(True, _SEES),
    "history-instance": Rule(True, _SEES),
    "history-type": Rule(True, _SEES),
    "history-system": Rule(True, _SEES),
    "search-type": Rule(True, _SEES),
    "search-system": Rule(True, _SEES),
    "search-compartment": Rule(True, _SEES),
    "transaction": Rule(True, "Each entry is admitted as if it came alone."),
    "create": Rule(True, _WRITES),
    "update": Rule(True, _WRITES),
    "patch": Rule(True, _WRITES),
    "delete": Rule(False, "A hospital's client deletes nothing: ask the registry."),
    "process-message": Rule(True, "Messages are confined to the hospitals of their sender."),
    "metrics": Rule(False, "They count what all hospitals send."),
    "$everything": Rule(True, _SEES),
    "$lastn": Rule(True, _SEES),
    "$stats": Rule(True, _SEES),
    "$grade": Rule(True, _SEES),
    "$validate": Rule(True, "What is sent is looked at, and compared with what the hospital sees."),
    "$document": Rule(True, _SEES),
    "$pdf": Rule(True, _SEES),
    "$mdm": Rule(True, _SEES),
    "$assemble": Rule(True, _OPEN),
    "$extract": Rule(True, _SEES),
    "$populate": Rule(True, _SEES),
    "$convert": Rule(True, _OPEN),
    "$data-requirements": Rule(True, _OPEN),
    "$validate-code": Rule(True, _OPEN),
    "$lookup": Rule(True, _OPEN),
    "$subsumes": Rule(True, _OPEN),
    "$expand": Rule(True, _OPEN),
    "$translate": Rule(True, _OPEN),
    "$closure": Rule(True, "A table of closure is its client's own."),
    "$export": Rule(True, _SEES, frozenset({None, "Patient"})),
    "$bulk": Rule(True, "A client is told of its own jobs alone."),
    "$import": Rule(False, "What is imported is the registry's to decide: send transactions."),
    "$purge": Rule(False, "A child is erased by the registry."),
    "$process-message": Rule(False, "Messages come by the doors that know their senders."),
    "$process-cda": Rule(
        False, "A note is filed for the hospital that it names, whoever sends it."
    ),
    "$process-response": Rule(False, "What families answer is between them and the registry."),
    "$sign": Rule(False, _NOTES),
    "$correct": Rule(False, _NOTES),
    "$addend": Rule(False, _NOTES),
    "$carry-over": Rule(False, _NOTES),
    "$evaluate": Rule(False, _REPORTS),
    "$collect-data": Rule(False, _REPORTS),
    "$care-gaps": Rule(False, _REPORTS),
    "$scorecard": Rule(True, "A client is told of its own traffic alone."),
    "$status": Rule(False, _TOPICS),
    "$events": Rule(False, _TOPICS),
}
_WRITING = frozenset({"create", "update", "patch"})


def refused(interaction: str, resource_type: str | None = None) -> str:
    """Say why a hospital's system may not do an interaction on a type; "" where it may."""
    if resource_type == "AuditEvent":
        return "The audit is for the registry and its auditors: ask the registry who looked."
    rule = HOSPITAL_MAY.get(interaction)
    if rule is None:
        return f"A hospital's client may not {interaction} here."
    if not rule.is_allowed:
        return f"{interaction} is not for a hospital's client. {rule.why}"
    if rule.types is not None and resource_type not in rule.types:
        return f"A hospital's client may not {interaction} a {resource_type} here."
    if interaction in _WRITING and resource_type is not None and not is_writable(resource_type):
        return f"A {resource_type} is the registry's to write."
    return ""
