"""Patient/[id]/$purge: erase a child, and what is about the child alone; tell who counted it. ADR 17.

Modelled on R6's operation Patient-purge; defined by OperationDefinition-Patient-purge.
https://hl7.org/fhir/6.0.0-ballot3/operation-patient-purge.html
"""

import asyncio
from functools import partial

import outcome_engine
from fhir_server.context import Context, instant, microseconds
from fhir_server.interactions.compartment import parameters_of
from fhir_server.operations.arrivals import carries
from fhir_server.operations.asynchronous import sweep
from fhir_server.operations.outcomes_rescored import Affected
from fhir_server.operations.outcomes_stale import mark
from fhir_server.operations.parameters import Kinds
from fhir_server.store import purge as store
from fhir_server.store import told
from fhir_server.store.objections import SEEN_AFTER
from fhir_server.store.purge import Purge, Purged
from fhir_server.store.seen import whole
from outcome_engine.assessment.record import case_start
from r4.issue import FhirError, Issue, error, operation_outcome
from r4.json import Resource

NAMES: Kinds = {"reason": "string"}


async def purge(
    context: Context, patient: str, reason: str, *, suppression: bytes | None = None
) -> Purged:
    """Erase a child and return what was erased, once nothing of it can be read any more.

    suppression: the key by which its identifiers are kept from coming back; None: they may.
    Raises FhirError 400 without a reason, 404 where there has never been such a Patient, 409 where
    something shared holds more of the child than references, 422 where the reason names the child.
    """
    if not reason.strip():
        text = "Say for what reason the child is purged; the reason is kept."
        raise FhirError(400, [error("required", text, "Parameters.parameter('reason')")])
    moment = context.now()
    asked = Purge(
        patient,
        reason,
        context.agent,
        microseconds(moment),
        instant(moment),
        f"{context.new_id()}{context.new_id()}",
        parameters_of("Patient"),
        partial(carries, mappings=context.settings.mappings),
        suppression,
    )
    await context.audit.flush()  # what was read of the child until now is masked with the rest
    purged = await context.database.write(partial(store.purge, asked=asked))
    told.recorded()
    if suppression is not None and context.suppressions.is_first(whole(context.database).read):
        await asyncio.sleep(SEEN_AFTER)  # by then every process knows that there is a list
    counted = _counted(context, purged)
    await context.database.overwrite()
    await sweep(context)
    await mark(context, counted)
    return purged


def _counted(context: Context, purged: Purged) -> list[Affected]:
    """Return by which measure, at which hospital and on which day a child may have been counted by now."""
    moment = microseconds(context.now())
    standing = [each for each in purged.cases if each.get("status") != "entered-in-error"]
    return [
        Affected(
            url, case.get("managingOrganization", {}).get("reference"), case_start(case), moment
        )
        for url in outcome_engine.measures()
        for case in outcome_engine.cases(url, standing, context.terminology)
    ]


def outcome(purged: Purged) -> Resource:
    """Say what a purge came to, without naming what is gone."""
    return operation_outcome([Issue("information", "success", said(purged))])


def said(purged: Purged) -> str:
    """Say in one line what a purge came to."""
    counts = ", ".join(f"{many} {kind}" for kind, many in purged.counts.items())
    return (
        f"Purged {counts}: {purged.versions} versions; {purged.messages} messages of the inbox;"
        f" references masked in {len(purged.masked)} shared resources."
    )
