"""What a reference leads to, for the rules that look at it: what is about to be written, or is stored.

https://hl7.org/fhir/R4/references.html
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from fhir_server.access import admit
from fhir_server.context import Context
from fhir_server.interactions.read import read, vread
from fhir_server.interactions.targets import Target, find, standing
from fhir_server.store.read import Stored
from r4.issue import FhirError
from r4.json import Resource, decode
from r4.reference import conditional, literal


@dataclass(slots=True)
class Referred:
    """Finds the resource of a reference, each once: among the targets of a plan, then among what is stored.

    Called with the text of a reference; None for what is not here, for what criteria do not tell for
    certain, and for what the asker may not read.
    """

    context: Context
    targets: Sequence[Target] = ()
    _found: dict[str, Resource | None] | None = field(default=None, init=False)

    def __call__(self, text: str) -> Resource | None:
        """Return the resource of a reference, or None."""
        if self._found is None:
            self._found = _written(self.targets)
        said = text.removeprefix(f"{self.context.base_url}/")
        if said not in self._found:
            try:
                self._found[said] = self._stored(said)
            except FhirError:
                self._found[said] = None
        return self._found[said]

    def _stored(self, text: str) -> Resource | None:
        context = self.context
        if (place := literal(text)) is not None:
            if place.base is not None:
                return None
            admit(context.principal, "read", place.type)
            if place.version is None:
                return _decoded(read(context, place.type, place.id))
            return _decoded(vread(context, place.type, place.id, place.version))
        if (wanted := conditional(text)) is None:
            return None
        admit(context.principal, "read", wanted.type)
        _, matches = find(context, wanted.type, wanted.query)
        records = standing(context, matches)
        return _decoded(records[0]) if len(records) == 1 else None


def _decoded(stored: Stored) -> Resource:
    found: Resource = decode(stored.body)
    return found


def _written(targets: Sequence[Target]) -> dict[str, Resource | None]:
    """Map the places of what is written as it was sent; a merge says only a part of what it makes."""
    return {
        f"{target.entry.type}/{target.id}": target.entry.resource
        for target in targets
        if target.writes and target.entry.resource is not None and not target.entry.merge
    }
