"""What a commit is asked to do, as values: the new versions, and what must still hold."""

from collections.abc import Sequence

import msgspec

from fhir_server.store.applied import Applied
from fhir_server.store.audit_row import NOBODY, Agent
from fhir_server.store.inbox import Settlement
from fhir_server.store.index import Named
from fhir_server.store.jobs import Progress
from fhir_server.store.search.query import Query
from fhir_server.store.search.worded import Worded
from fhir_server.store.view import View


class Write(msgspec.Struct, frozen=True):
    """A new version of a resource: version 1 has no predecessor, another one follows version - 1.

    body: the resource as it will be read, its references literal; empty for a deletion. refers: the
    resources here that it refers to, which must be there; None: what it refers to need not be.
    fresh: its id was made for it, so that nobody else can have it.
    """

    type: str
    id: str
    version: int
    updated: int
    body: bytes
    refers: Sequence[Named] | None = None
    deleted: bool = False
    fresh: bool = False


class Guard(msgspec.Struct, frozen=True):
    """A search that must still find exactly these ids; of all there is, whoever writes, if `whole`.

    letters: of scopes, whose queries have narrowed the search.
    """

    query: Query | Worded
    ids: tuple[str, ...]
    whole: bool = False
    letters: str = "rs"


class Commit(msgspec.Struct, frozen=True):
    """Writes that are stored together or not at all, and what they rely on.

    agent: who writes, for the audit. A settlement, how far a job has come, and when which sender
    told what (`applied`) are recorded in the same transaction. A view says that hospitals write, which
    see this much and may write of their own children alone, or whoever has scopes with queries.
    objections: the state of those by which what is stored was computed (`objections.changes`), which must
    not have changed.
    """

    writes: Sequence[Write]
    guards: Sequence[Guard] = ()
    settlement: Settlement | None = None
    progress: Progress | None = None
    agent: Agent = NOBODY
    applied: Sequence[Applied] = ()
    view: View | None = None
    objections: int | None = None


class ConflictError(Exception):
    """What a plan relied on has changed: plan again."""


class MissingError(Exception):
    """References lead to resources that are not here; `args[0]` lists their types and ids."""


class ObjectedError(Exception):
    """Somebody objects, or objects no longer, since what would be stored was computed: compute anew."""


class ReferredError(Exception):
    """A deletion would leave references to nothing: `args` are the resource and what refers to it."""


class RefusedError(Exception):
    """Hospitals may not write this: `args[0]` lists type and id of each, and why."""

    rule = "other-hospital"


class OutOfScopeError(RefusedError):
    """The queries of scopes do not let this be written: `args[0]` lists type and id of each, and why."""

    rule = "scope"
