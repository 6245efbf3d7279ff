"""Whose a resource is: about one child alone, shared with others, or of others alone.

A child here is one person: the Patients that `Patient.link` joins, for each link says that both concern
the same person. https://hl7.org/fhir/R4/patient-definitions.html#Patient.link
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_server.store.search.expressions import environment
from fhir_server.store.search.parameters import parameters
from r4 import fhirpath
from r4.json import Resource, encode
from r4.reference import literal

Named = tuple[str, str]
Identifiers = frozenset[tuple[str, str]]

_ALWAYS_SHARED = frozenset({"Group"})
"""What stays, without the child, even where it names one child alone: others rely on its being there."""


@dataclass(frozen=True, slots=True)
class Child:
    """One person: ids of the Patients, their identifiers (system, value), and what is theirs alone.

    membership: the reference parameters by which each type belongs to a Patient.
    """

    ids: frozenset[str]
    identifiers: Identifiers
    membership: Mapping[str, tuple[str, ...]]
    theirs: set[Named] = field(default_factory=set)

    def is_named_by(self, reference: Mapping[str, Any]) -> bool:
        """Tell whether a Reference leads to the child or to something of the child alone."""
        found = named(reference)
        return found in self.theirs if found else self._is_identified_by(reference)

    def _is_identified_by(self, reference: Mapping[str, Any]) -> bool:
        return bool(pairs_of(reference.get("identifier")) & self.identifiers)

    def is_in(self, resources: Iterable[Resource]) -> bool:
        """Tell whether any of the versions leads to the child."""
        return any(self.is_named_by(each) for one in resources for each in references(one))

    def has_alone(self, kind: str, versions: list[Resource]) -> bool:
        """Tell whether a resource, by all its versions, is about this child and nobody else's."""
        if kind in _ALWAYS_SHARED:
            return False
        if kind == "Bundle":
            return self._is_in_alone(versions)
        if kind == "Provenance":
            targets = list(_at(versions, kind, "target"))
            return bool(targets) and all(named(each) in self.theirs for each in targets)
        codes = {*self.membership.get(kind, ()), "patient", "subject"}
        about = [each for code in codes for each in _at(versions, kind, code)]
        patients = {found[1] for each in about if (found := named(each)) and found[0] == "Patient"}
        if patients - self.ids:
            return False
        if patients or any(self._is_identified_by(each) for each in about):
            return True
        return any(named(each) in self.theirs for each in _at(versions, kind, "encounter"))

    def _is_in_alone(self, versions: list[Resource]) -> bool:
        """Tell of Bundles whether no other Patient is in them, nor referred to."""
        found = {
            each["id"]
            for one in versions
            for entry in one.get("entry", ())
            if (each := entry.get("resource", {})).get("resourceType") == "Patient" and "id" in each
        }
        referred = (named(each) for one in versions for each in references(one))
        return not (found | {each[1] for each in referred if each and each[0] == "Patient"}) - (
            self.ids
        )

    def needles(self) -> list[bytes]:
        """Return what the stored bytes of whatever names the child hold, one of them at least."""
        values = {value for _, value in self.identifiers}
        return [f"Patient/{each}".encode() for each in sorted(self.ids)] + [
            b'"value":' + encode(value) for value in sorted(values)
        ]


def named(reference: Mapping[str, Any]) -> Named | None:
    """Return type and id of a Reference to a resource here, or None."""
    text = reference.get("reference")
    found = literal(text) if isinstance(text, str) else None
    return (found.type, found.id) if found and found.base is None else None


def references(node: Any) -> Iterator[Mapping[str, Any]]:
    """Yield each Reference below a node: an object with a reference, or an identifier alone."""
    if isinstance(node, dict):
        if isinstance(node.get("reference"), str) or is_logical(node):
            yield node
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def is_logical(node: Mapping[str, Any]) -> bool:
    """Tell whether an object is a Reference that has no more than an identifier."""
    return isinstance(node.get("identifier"), dict) and set(node) <= {
        "identifier", "type", "display", "id", "extension",
    }  # fmt: skip


def pairs_of(node: Any) -> Identifiers:
    """Return (system, value) of an Identifier, or of each in a list of them."""
    listed = node if isinstance(node, list) else [node]
    return frozenset(
        (str(each.get("system", "")), each["value"])
        for each in listed
        if isinstance(each, dict) and isinstance(each.get("value"), str)
    )


def _at(versions: list[Resource], kind: str, code: str) -> Iterator[Mapping[str, Any]]:
    """Yield the References that a search parameter finds in the versions."""
    parameter = parameters(kind).get(code)
    if parameter is None or parameter.type != "reference":
        return
    evaluate = fhirpath.compile(parameter.expression)
    for each in versions:
        for value, _ in evaluate.typed(each, environment(each)):
            if isinstance(value, dict):
                yield value
