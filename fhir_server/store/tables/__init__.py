"""Every table, declared once; the migrations create them and a test holds the two together.

All times are microseconds since 1970-01-01 UTC. What the two databases do each in their own way is
declared by the migrations: the words of `store.search.keys` by rid (SQLite: the FTS5 table `search_key`;
PostgreSQL: the column `resource.words`), the words of narrative and content by rid, `search_text`, and
the words of a concept's name by its id, `concept_text`.
Index rows outlive their version: a page of a search is what was current when the search began.
"""

from sqlmodel import SQLModel

from fhir_server.store.tables.applied import AppliedMoment
from fhir_server.store.tables.audit import (
    AuditChild,
    AuditJournal,
    AuditLink,
    AuditSalt,
    AuditSeal,
)
from fhir_server.store.tables.custody import Custody, Site
from fhir_server.store.tables.inbox import InboxMessage
from fhir_server.store.tables.index import (
    SearchDate,
    SearchIdentifier,
    SearchIndex,
    SearchNumber,
    SearchReference,
    SearchString,
)
from fhir_server.store.tables.jobs import (
    DeadLetter,
    Job,
    SubscriptionCursor,
    SubscriptionEvent,
)
from fhir_server.store.tables.links import SurveyLink
from fhir_server.store.tables.objections import Objection, ObjectionState
from fhir_server.store.tables.outcomes import KeptOutcome, OutcomeCursor
from fhir_server.store.tables.refusals import Refusal
from fhir_server.store.tables.resources import (
    Audit,
    Content,
    StoredResource,
    Tombstone,
    TombstonePlace,
)
from fhir_server.store.tables.sandbox import Sandbox
from fhir_server.store.tables.suppression import Suppressed
from fhir_server.store.tables.terminology import (
    ClosureConcept,
    CodeSystemFile,
    CodeSystemRelease,
    ConceptEdge,
    ConceptImage,
    ConceptMember,
    ConceptName,
    ConceptReplacement,
    PackageResource,
    StoredConcept,
)

__all__ = (
    "COLUMNS",
    "AppliedMoment",
    "Audit",
    "AuditChild",
    "AuditJournal",
    "AuditLink",
    "AuditSalt",
    "AuditSeal",
    "ClosureConcept",
    "CodeSystemFile",
    "CodeSystemRelease",
    "ConceptEdge",
    "ConceptImage",
    "ConceptMember",
    "ConceptName",
    "ConceptReplacement",
    "Content",
    "Custody",
    "DeadLetter",
    "InboxMessage",
    "Job",
    "KeptOutcome",
    "Objection",
    "ObjectionState",
    "OutcomeCursor",
    "PackageResource",
    "Refusal",
    "Sandbox",
    "SearchDate",
    "SearchIdentifier",
    "SearchIndex",
    "SearchNumber",
    "SearchReference",
    "SearchString",
    "Site",
    "StoredConcept",
    "StoredResource",
    "SubscriptionCursor",
    "SubscriptionEvent",
    "Suppressed",
    "SurveyLink",
    "Tombstone",
    "TombstonePlace",
)


def _columns(table: str) -> tuple[str, ...]:
    columns = SQLModel.metadata.tables[table].columns
    return tuple(name for name in columns.keys() if (table, name) != ("audit", "id"))  # noqa: SIM118


COLUMNS = {
    "search_key": ("rowid", "words"),
    "search_text": ("rowid", "narrative", "content"),
    "concept_text": ("rowid", "words"),
    **{
        table: _columns(table)
        for table in (
            "resource", "content", "search_date", "search_number", "search_string",
            "search_reference", "search_identifier", "audit", "audit_child", "concept", "concept_name",
            "concept_edge", "concept_member", "concept_replacement", "concept_image",
            "concept_load", "custody", "site", "objection",
        )
    },
}  # fmt: skip
"""The columns of each table that a batch fills, in the order of its rows."""
AGAIN = frozenset({"audit_child"})
"""Tables into which a row may be put that is there already: what was linked is linked anew."""
