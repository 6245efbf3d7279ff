"""Invariants written by hand: those that nearly every resource meets, for a tenth of the time.

Also here are those whose FHIRPath is empty, which is not true, on content that their `human` text
allows (dates of unequal precision, an absent fullUrl, an answer that is FHIR's boolean and not the
language's). Each stands under its key in the standard, and under its type where a key is used
twice; a test holds them to the FHIRPath wherever that says true or false.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from profiles.findings import Run
from profiles.references import contained
from r4.json import Resource

Holds = Callable[[Any, Run], bool]

_DAY = len("2026-11-22")
_CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
_VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_ABATED = frozenset({"resolved", "remission", "inactive"})
_ENTERED_IN_ERROR = frozenset({"entered-in-error"})
_CERTAIN = 100
"""Per cent."""


def _dom_2(resource: Resource, _: Run) -> bool:
    return not any("contained" in inner for inner in contained(resource))


def _dom_3(resource: Resource, _: Run) -> bool:
    mentioned = set(_local_references(resource))
    return all(
        f"#{inner.get('id')}" in mentioned or "#" in set(_local_references(inner))
        for inner in contained(resource)
    )


def _local_references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        node = node.values()
    elif isinstance(node, str):
        if node.startswith("#"):
            yield node
        return
    elif not isinstance(node, list):
        return
    for child in node:
        yield from _local_references(child)


def _dom_4(resource: Resource, _: Run) -> bool:
    metas = [inner.get("meta", {}) for inner in contained(resource)]
    return not any("versionId" in meta or "lastUpdated" in meta for meta in metas)


def _dom_5(resource: Resource, _: Run) -> bool:
    return not any("security" in inner.get("meta", {}) for inner in contained(resource))


def _ext_1(extension: Resource, _: Run) -> bool:
    return ("extension" in extension) != _has_choice(extension, "value")


def _ref_1(reference: Resource, run: Run) -> bool:
    text = reference.get("reference", "")
    if text[:1] != "#" or text == "#":
        return True
    return any(inner.get("id") == text[1:] for inner in contained(run.root))


def _qty_3(quantity: Resource, _: Run) -> bool:
    return "code" not in quantity or "system" in quantity


def _cpt_2(contact: Resource, _: Run) -> bool:
    return not _has(contact, "value") or _has(contact, "system")


def _att_1(attachment: Resource, _: Run) -> bool:
    return not _has(attachment, "data") or _has(attachment, "contentType")


def _bdl_8(entry: Resource, _: Run) -> bool:
    return "/_history/" not in entry.get("fullUrl", "")


def _que_7(condition: Resource, _: Run) -> bool:
    return condition.get("operator") != "exists" or _has(condition, "answerBoolean")


def _ras_2(prediction: Resource, _: Run) -> bool:
    return bool(prediction.get("probabilityDecimal", 0) <= _CERTAIN)


def _pat_1(contact: Resource, _: Run) -> bool:
    return not contact.keys().isdisjoint(("name", "telecom", "address", "organization"))


def _obs_3(reference_range: Resource, _: Run) -> bool:
    return any(_has(reference_range, name) for name in ("low", "high", "text"))


def _obs_6(observation: Resource, _: Run) -> bool:
    return "dataAbsentReason" not in observation or not _has_choice(observation, "value")


def _obs_7(observation: Resource, _: Run) -> bool:
    if "component" not in observation or not _has_choice(observation, "value"):
        return True
    codings = observation["code"].get("coding", ()) if "code" in observation else ()
    parts = (c.get("code", {}).get("coding", ()) for c in observation["component"])
    return not any(coding in codings for part in parts for coding in part)


def _con_3(condition: Resource, _: Run) -> bool:
    return (
        "clinicalStatus" in condition
        or "category" not in condition
        or _is_entered_in_error(condition)
    )


def _con_4(condition: Resource, _: Run) -> bool:
    if not _has_choice(condition, "abatement"):
        return True
    return _has_code(condition.get("clinicalStatus"), _CLINICAL, _ABATED)


def _con_5(condition: Resource, _: Run) -> bool:
    return "clinicalStatus" not in condition or not _is_entered_in_error(condition)


def _is_entered_in_error(condition: Resource) -> bool:
    return _has_code(condition.get("verificationStatus"), _VERIFICATION, _ENTERED_IN_ERROR)


def _has_code(concept: Resource | None, system: str, codes: frozenset[str]) -> bool:
    codings = () if concept is None else concept.get("coding", ())
    return any(c.get("system") == system and c.get("code") in codes for c in codings)


def _qrs_1(item: Resource, _: Run) -> bool:
    return "answer" not in item or "item" not in item


def _per_1(period: Resource, _: Run) -> bool:
    return not is_after(period.get("start"), period.get("end"))


def _task_inv_1(task: Resource, _: Run) -> bool:
    return not is_after(task.get("authoredOn"), task.get("lastModified"))


def _mdd_1(dispense: Resource, _: Run) -> bool:
    return not is_after(dispense.get("whenPrepared"), dispense.get("whenHandedOver"))


def _rng_2(range_: Resource, _: Run) -> bool:
    low, high = range_.get("low", {}), range_.get("high", {})
    if any(low.get(key) != high.get(key) for key in ("system", "code", "unit")):
        return True
    return "value" not in low or "value" not in high or bool(low["value"] <= high["value"])


def is_after(first: str | None, second: str | None) -> bool:
    """Tell whether a moment is surely after another; the coarser of the two sets the precision."""
    if first is None or second is None:
        return False
    if len(first) > _DAY and len(second) > _DAY:
        try:
            return datetime.fromisoformat(first) > datetime.fromisoformat(second)
        except ValueError:  # a leap second, which FHIR has and Python has not
            return first[:_DAY] > second[:_DAY]
    precision = min(len(first), len(second), _DAY)
    return first[:precision] > second[:precision]


def _has(node: Resource, name: str) -> bool:
    return name in node or f"_{name}" in node


def _has_choice(node: Resource, name: str) -> bool:
    names = name, f"_{name}"
    for key in node:  # noqa: SIM110 - a generator takes twice as long
        if key.startswith(names):
            return True
    return False


BY_HAND: dict[str, Holds] = {
    "dom-2": _dom_2,
    "dom-3": _dom_3,
    "dom-4": _dom_4,
    "dom-5": _dom_5,
    "ext-1": _ext_1,
    "ref-1": _ref_1,
    "qty-3": _qty_3,
    "cpt-2": _cpt_2,
    "att-1": _att_1,
    "bdl-8": _bdl_8,
    "que-7": _que_7,
    "ras-2": _ras_2,
    "pat-1": _pat_1,
    "obs-3": _obs_3,
    "obs-6": _obs_6,
    "obs-7": _obs_7,
    "con-3": _con_3,
    "con-4": _con_4,
    "con-5": _con_5,
    "qrs-1": _qrs_1,
    "per-1": _per_1,
    "rng-2": _rng_2,
    "mdd-1": _mdd_1,
    "Task/inv-1": _task_inv_1,
}

NEEDS = {
    "dom-2": "contained",
    "dom-3": "contained",
    "dom-4": "contained",
    "dom-5": "contained",
    "ref-1": "reference",
    "qty-3": "code",
    "bdl-8": "fullUrl",
    "que-7": "operator",
    "ras-2": "probabilityDecimal",
    "obs-6": "dataAbsentReason",
    "obs-7": "component",
    "con-5": "clinicalStatus",
    "qrs-1": "answer",
    "per-1": "end",
    "rng-2": "high",
    "mdd-1": "whenHandedOver",
}
"""The property without which each of these holds, so that it is not asked."""
