"""Ids allocated for extraction: one for each repetition of what declares them, however often asked.

https://hl7.org/fhir/uv/sdc/StructureDefinition-sdc-questionnaire-extractAllocateId.html
"""

from collections.abc import Callable

from questionnaires.elements import SDC, Item, extensions
from questionnaires.expressions import Scope
from r4.json import Resource

_ALLOCATE = SDC + "extractAllocateId"


class Allocation:
    """The ids of one extraction: templates, definitions and Observations see the same ones.

    new_id gives a fresh UUID at each call.
    """

    def __init__(self, new_id: Callable[[], str]) -> None:
        self.new_id = new_id
        self._allocated: dict[int, dict[str, str]] = {}

    def within(self, element: Resource | Item, answered: Resource | Item, scope: Scope) -> Scope:
        """Return the scope inside an element of a form; answered: what the response has for it."""
        names = [held["valueString"] for held in extensions(element, _ALLOCATE)]
        if not names:
            return scope
        known = self._allocated.setdefault(id(answered), {})
        for name in names:
            if name not in known:
                known[name] = f"urn:uuid:{self.new_id()}"
        return scope.having(**known)
