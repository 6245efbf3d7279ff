"""The route table of the FHIR endpoint, and how a path finds its row.

https://hl7.org/fhir/R4/http.html#summary
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from fhir_server.context import Context
from fhir_server.rest import (
    answers,
    bulk,
    cda,
    convert,
    documents,
    integrators,
    modular,
    notes,
    operations,
    purge,
    sdc,
    subscriptions,
    terminology,
)
from fhir_server.rest.answers import Answer, Asked
from r4 import definitions

Handler = Callable[[Context, Asked], Awaitable[Answer]]


class Interaction(NamedTuple):
    """One row of the table: method, path below the base, the interaction's code, who answers it."""

    method: str
    path: str
    code: str
    answer: Handler


def _both(path: str, code: str, answer: Handler) -> tuple[Interaction, Interaction]:
    """Return the rows of an operation that may be asked with GET and with POST."""
    return Interaction("GET", path, code, answer), Interaction("POST", path, code, answer)


def _levels(path: str, code: str, answer: Handler) -> tuple[Interaction, Interaction]:
    """Return the rows of an operation that is asked with POST, of a type and of one of its instances."""
    return (
        Interaction("POST", f"{path}/{code}", code, answer),
        Interaction("POST", f"{path}/{{id}}/{code}", code, answer),
    )


TABLE = (
    Interaction("GET", "/metadata", "capabilities", answers.capabilities),
    Interaction(
        "GET",
        "/.well-known/smart-configuration",
        "smart-configuration",
        answers.smart_configuration,
    ),
    Interaction("POST", "/", "transaction", answers.transaction),
    Interaction("GET", "/", "search-system", answers.search_system),
    Interaction("POST", "/_search", "search-system", answers.search_system),
    Interaction("POST", "/$process-message", "$process-message", operations.process_message),
    Interaction("GET", "/Patient/{id}/$everything", "$everything", answers.everything),
    Interaction("GET", "/Encounter/{id}/$everything", "$everything", answers.everything),
    Interaction("POST", "/Patient/{id}/$purge", "$purge", purge.purge),
    Interaction("GET", "/Observation/$lastn", "$lastn", operations.lastn),
    *_both("/Observation/{id}/$grade", "$grade", operations.grade),
    Interaction("GET", "/Observation/$stats", "$stats", operations.stats),
    Interaction("POST", "/Observation/$stats", "$stats", operations.stats),
    Interaction("POST", "/$validate", "$validate", operations.validate),
    Interaction("POST", "/{type}/$validate", "$validate", operations.validate),
    Interaction("GET", "/{type}/{id}/$validate", "$validate", operations.validate),
    Interaction("POST", "/{type}/{id}/$validate", "$validate", operations.validate),
    Interaction("POST", "/Questionnaire/$assemble", "$assemble", modular.assemble),
    Interaction("POST", "/Questionnaire/{id}/$assemble", "$assemble", modular.assemble),
    *_levels("/Questionnaire", "$populate", sdc.populate),
    *_levels("/Questionnaire", "$process-response", sdc.process_response),
    Interaction("POST", "/QuestionnaireResponse/$extract", "$extract", operations.extract),
    Interaction("POST", "/QuestionnaireResponse/{id}/$extract", "$extract", modular.extract_stored),
    Interaction("POST", "/QuestionnaireResponse/$sign", "$sign", operations.sign),
    Interaction("POST", "/QuestionnaireResponse/$carry-over", "$carry-over", notes.carry_over),
    Interaction("POST", "/QuestionnaireResponse/{id}/$sign", "$sign", notes.sign),
    Interaction("POST", "/QuestionnaireResponse/{id}/$correct", "$correct", notes.correct),
    Interaction("POST", "/QuestionnaireResponse/{id}/$addend", "$addend", notes.addend),
    Interaction(
        "POST",
        "/QuestionnaireResponse/$process-response",
        "$process-response",
        operations.process_response,
    ),
    *_both("/Composition/{id}/$document", "$document", documents.document),
    *_both("/Composition/{id}/$pdf", "$pdf", documents.pdf),
    *_both("/Composition/{id}/$mdm", "$mdm", documents.mdm),
    Interaction("POST", "/DocumentReference/$process-cda", "$process-cda", cda.process_cda),
    Interaction("POST", "/$convert", "$convert", convert.convert),
    Interaction("GET", "/Measure/$evaluate", "$evaluate", operations.evaluate),
    Interaction("POST", "/Measure/$evaluate", "$evaluate", operations.evaluate),
    Interaction("GET", "/Measure/$evaluate-measure", "$evaluate", operations.evaluate_measure),
    Interaction("POST", "/Measure/$evaluate-measure", "$evaluate", operations.evaluate_measure),
    Interaction("GET", "/Measure/{id}/$evaluate-measure", "$evaluate", operations.evaluate_measure),
    Interaction(
        "POST", "/Measure/{id}/$evaluate-measure", "$evaluate", operations.evaluate_measure
    ),
    *_both("/Measure/$collect-data", "$collect-data", operations.collect_data),
    *_both("/Measure/$care-gaps", "$care-gaps", operations.care_gaps),
    *_both("/Measure/$data-requirements", "$data-requirements", operations.data_requirements),
    *_both("/Measure/{id}/$data-requirements", "$data-requirements", operations.data_requirements),
    *_both("/TestReport/$scorecard", "$scorecard", integrators.scorecard),
    Interaction("GET", "/Subscription/$status", "$status", subscriptions.statuses),
    Interaction("POST", "/Subscription/$status", "$status", subscriptions.statuses),
    Interaction("GET", "/Subscription/{id}/$status", "$status", subscriptions.status),
    Interaction("POST", "/Subscription/{id}/$status", "$status", subscriptions.status),
    Interaction("GET", "/Subscription/{id}/$events", "$events", subscriptions.events),
    Interaction("POST", "/Subscription/{id}/$events", "$events", subscriptions.events),
    *_both("/CodeSystem/$validate-code", "$validate-code", terminology.validate_in_system),
    *_both("/CodeSystem/{id}/$validate-code", "$validate-code", terminology.validate_in_system),
    *_both("/CodeSystem/$lookup", "$lookup", terminology.lookup),
    *_both("/CodeSystem/$subsumes", "$subsumes", terminology.subsumes),
    *_both("/CodeSystem/{id}/$subsumes", "$subsumes", terminology.subsumes),
    *_both("/ValueSet/$validate-code", "$validate-code", terminology.validate_in_set),
    *_both("/ValueSet/{id}/$validate-code", "$validate-code", terminology.validate_in_set),
    *_both("/ValueSet/$expand", "$expand", terminology.expand),
    *_both("/ValueSet/{id}/$expand", "$expand", terminology.expand),
    *_both("/ConceptMap/$translate", "$translate", terminology.translate),
    *_both("/ConceptMap/{id}/$translate", "$translate", terminology.translate),
    Interaction("POST", "/$closure", "$closure", terminology.closure),
    Interaction("GET", "/$export", "$export", bulk.export),
    Interaction("POST", "/$export", "$export", bulk.export),
    Interaction("GET", "/Patient/$export", "$export", bulk.export_patients),
    Interaction("POST", "/Patient/$export", "$export", bulk.export_patients),
    Interaction("GET", "/Group/{id}/$export", "$export", bulk.export_group),
    Interaction("POST", "/Group/{id}/$export", "$export", bulk.export_group),
    Interaction("POST", "/$import", "$import", bulk.import_),
    Interaction("GET", "/$bulk/{job}", "$bulk", bulk.status),
    Interaction("DELETE", "/$bulk/{job}", "$bulk", bulk.cancel),
    Interaction("GET", "/$bulk/{job}/{file}", "$bulk", bulk.output),
    Interaction("GET", "/_history", "history-system", answers.history),
    Interaction("GET", "/{type}/_history", "history-type", answers.history),
    Interaction("GET", "/{type}/{id}/_history", "history-instance", answers.history),
    Interaction("GET", "/{type}", "search-type", answers.search),
    Interaction("POST", "/{type}/_search", "search-type", answers.search),
    Interaction("POST", "/{type}", "create", answers.create),
    Interaction("PUT", "/{type}", "update", answers.update_where),
    Interaction("GET", "/{type}/{id}", "read", answers.read),
    Interaction("PUT", "/{type}/{id}", "update", answers.update),
    Interaction("DELETE", "/{type}", "delete", answers.delete_where),
    Interaction("DELETE", "/{type}/{id}", "delete", answers.delete),
    Interaction("PATCH", "/{type}", "patch", answers.patch_where),
    Interaction("PATCH", "/{type}/{id}", "patch", answers.patch),
    Interaction("GET", "/{type}/{id}/_history/{version}", "vread", answers.vread),
    Interaction("GET", "/{type}/{id}/{member}", "search-compartment", answers.compartment),
)


class Found(NamedTuple):
    """What a path names: the rows of its methods, the methods it serves, and the path's parameters."""

    rows: Mapping[str, Interaction]
    served: str
    parameters: Mapping[str, str]


@dataclass(slots=True)
class Routes:
    """A tree of path segments; a literal one is preferred to a parameter, at every step."""

    literals: dict[str, Routes] = field(default_factory=dict)
    parameter: Routes | None = None
    names: tuple[tuple[str, int], ...] = ()
    literal_type: str | None = None
    rows: dict[str, Interaction] = field(default_factory=dict)
    served: str = ""

    def find(self, segments: Sequence[str]) -> Found | None:
        """Return what the segments of a path below the base name, or None."""
        place = self.place_of(segments, 0)
        if place is None:
            return None
        parameters = {name: segments[at] for name, at in place.names}
        if place.literal_type is not None:
            parameters["type"] = place.literal_type
        return Found(place.rows, place.served, parameters)

    def place_of(self, segments: Sequence[str], at: int) -> Routes | None:
        """Return the place that the segments from one on lead to, or None where no row is."""
        if at == len(segments):
            return self if self.rows else None
        segment = segments[at]
        if segment in self.literals and (
            found := self.literals[segment].place_of(segments, at + 1)
        ):
            return found
        if self.parameter is not None and segment:
            return self.parameter.place_of(segments, at + 1)
        return None

    def add(self, row: Interaction) -> None:
        """Give a row its place below this one, the base."""
        place, names = self, []
        for at, part in enumerate(_parts(row.path)):
            if part.startswith("{"):
                place.parameter = place.parameter or Routes()
                place = place.parameter
                names.append((part[1:-1], at))
            else:
                place = place.literals.setdefault(part, Routes())
        place.names = tuple(names)
        first = _parts(row.path)[:1]
        place.literal_type = next((p for p in first if p in definitions.resource_types()), None)
        place.rows[row.method] = row
        if row.method == "GET":
            place.rows["HEAD"] = row
        place.served = ", ".join(sorted(place.rows))


def routes(table: Sequence[Interaction] = TABLE) -> Routes:
    """Build the tree of a table's rows."""
    tree = Routes()
    for row in table:
        tree.add(row)
    return tree


def _parts(path: str) -> list[str]:
    return path.strip("/").split("/") if path != "/" else []
