"""What the queries of a form find: in what was sent along first, then in the registry, within limits.

Whoever is confined to one child is shown that child's resources alone, whatever a form asks for.
https://hl7.org/fhir/uv/sdc/populate.html
"""

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from fhir_server.context import Context
from fhir_server.interactions.compartment import Owner, parameters_of, within
from fhir_server.interactions.identity import CHILD
from fhir_server.interactions.search import Scope, search
from fhir_server.interactions.signed import is_of_note
from fhir_server.operations.sent_data import Sent
from fhir_server.store import read as store
from fhir_server.store.search.parse import Around, parse
from fhir_server.store.search.results import is_result
from r4 import definitions
from r4.issue import FhirError, Issue, error
from r4.json import Resource, decode
from r4.reference import literal

MOST_QUERIES = 50
MOST_RESULTS = 200
"""Most queries that one call may ask, and most resources that they may find in the registry together."""

_OWN = frozenset({"_id", "_lastUpdated", "_tag", "_profile", "_security"})
"""The parameters of every type that look at the resource itself, and at nothing that it leads to."""

_FOUND = ("match", "include")

Pairs = list[tuple[str, str]]


@dataclass(slots=True)
class Finding:
    """Answers the queries of one call; what goes beyond the limits refuses the call, not a question.

    is_local: whether the registry is looked into at all.
    """

    context: Context
    sent: Sent
    is_local: bool = True
    issues: list[Issue] = field(default_factory=list)
    refusal: FhirError | None = None
    _asked: int = 0
    _found: int = 0

    def __call__(self, query: str) -> list[Resource]:
        """Return what `Type?criteria` or `Type/id` finds; raises FhirError where it is not answered."""
        self._asked += 1
        if self._asked > MOST_QUERIES:
            raise self._too_much(f"The form asks more than {MOST_QUERIES} queries.")
        query = query.removeprefix(f"{self.context.base_url}/")
        kind, mark, criteria = query.partition("?")
        if not mark:
            return self._read(unquote(query))
        if kind not in definitions.resource_types():
            text = (
                f"{kind} is no resource type: a query is `Type?criteria` or `Type/id`, asked here."
            )
            raise FhirError(400, [error("not-supported", text)])
        pairs = parse_qsl(criteria, keep_blank_values=True)
        parse(kind, pairs, Around(self.context.terminology, None, self.context.base_url))
        if self.sent.has(kind):
            found, issues = self.sent.search(kind, pairs)
            self.issues += issues
            if found or not self.is_local:
                return found
        return self._search(kind, pairs) if self.is_local else []

    def _read(self, reference: str) -> list[Resource]:
        if (held := self.sent.read(reference)) is not None:
            return [held]
        place = literal(reference)
        if (
            place is None
            or place.base is not None
            or place.type not in definitions.resource_types()
        ):
            if reference.startswith("urn:"):
                return []
            text = f"{reference} is not on this server: send what it refers to in `data`."
            raise FhirError(422, [error("not-supported", text)])
        if not self.is_local:
            return []
        if self.context.principal.patient is not None:
            return self._search(place.type, [("_id", place.id)])
        stored = store.current(self.context.database, place.type, place.id)
        return [] if stored is None or stored.deleted else self._counted([decode(stored.body)])

    def _search(self, kind: str, pairs: Pairs) -> list[Resource]:
        """Search the registry; under a confined principal the one child's resources alone."""
        patient = self.context.principal.patient
        scope = None
        if patient is not None:
            if kind not in parameters_of("Patient"):
                text = f"{kind} is no part of a child's record: send it in `data`."
                raise FhirError(403, [error("forbidden", text)])
            _refuse_leading_on(pairs)
            owner = Owner("Patient", patient.removeprefix("Patient/"))
            scope = Scope(f"{patient}/{kind}", within(owner), pairs)
        if not any(name == "_count" for name, _ in pairs):
            pairs = [*pairs, ("_count", str(MOST_RESULTS - self._found + 1))]
        bundle = decode(search(self.context, kind, pairs, scope=scope))
        found = [e for e in bundle.get("entry", []) if e["search"]["mode"] in _FOUND]
        if patient is not None:
            found = [e for e in found if self._is_shown(patient, e["resource"])]
        return self._counted([e["resource"] for e in found])

    def _is_shown(self, patient: str, resource: Resource) -> bool:
        """Tell whether a session is shown a resource: not what a parent has answered."""
        is_answers = resource["resourceType"] == "QuestionnaireResponse"
        if is_answers and not is_of_note(self.context, resource.get("questionnaire")):
            return False
        return _is_of(patient, resource)

    def _counted(self, found: list[Resource]) -> list[Resource]:
        self._found += len(found)
        if self._found > MOST_RESULTS:
            raise self._too_much(f"The form's queries find more than {MOST_RESULTS} resources.")
        return found

    def _too_much(self, text: str) -> FhirError:
        said = f"{text} Narrow them, or send what is needed in `data`."
        self.refusal = FhirError(422, [error("too-costly", said)])
        return self.refusal


def _refuse_leading_on(pairs: Pairs) -> None:
    """Raise FhirError 403 for criteria that lead to others: what they match would tell of other children."""
    for name, _ in pairs:
        if "." in name or (name.startswith("_") and name not in _OWN and not is_result(name)):
            text = f"A session does not search by {name}: it leads beyond the child's own record."
            raise FhirError(403, [error("forbidden", text)])


def _is_of(patient: str, resource: Resource) -> bool:
    """Tell whether a resource is the child, or about the child: a group or a sibling is of others too."""
    named = [resource.get(element) for element in CHILD]
    whose = [each["reference"] for each in named if isinstance(each, dict) and "reference" in each]
    return patient in (f"{resource['resourceType']}/{resource['id']}", *whose)
