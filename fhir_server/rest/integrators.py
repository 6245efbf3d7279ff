"""The integrator's own: the scorecard of a client, as a TestReport."""

import asyncio
import logging

from fhir_server.context import Context, Principal, microseconds
from fhir_server.operations import parameters
from fhir_server.operations.scorecard import scorecard as derived
from fhir_server.operations.scorecard_client import shown
from fhir_server.operations.scorecard_report import report
from fhir_server.rest.answers import Answer, Asked
from fhir_server.store import refusals, traffic
from fhir_server.store.failure import place
from fhir_server.store.refusals import Refusal
from fhir_server.store.seen import whole
from r4.issue import FhirError
from r4.json import encode

logger = logging.getLogger("csor.rest")

_WRITES = frozenset({"create", "update", "patch", "delete", "transaction"})
NAMES: parameters.Kinds = {"client": "string"}


async def scorecard(context: Context, asked: Asked) -> Answer:
    """GET or POST TestReport/$scorecard: of who asks, or of the client that is named.

    It is derived in a thread, one at a time, and others are answered meanwhile.
    """
    body = asked.resource() if asked.raw else None
    given = parameters.given(asked.pairs, body, NAMES)
    principal = context.principal
    await context.audit.flush()
    await traffic.written(context.database)
    async with context.validating:
        client = await asyncio.to_thread(
            shown, context, principal, given.get("client", principal.name)
        )
        moment = microseconds(context.now())
        card = await asyncio.to_thread(derived, whole(context.database), client, moment)
    return Answer(encode(report(card, context.base_url)))


async def told(
    context: Context,
    principal: Principal | None,
    asked: tuple[str | None, str | None],
    refusal: FhirError,
) -> None:
    """Keep why a write of a hospital's client was refused: the inbox has nothing of what it sends.

    asked: the interaction, and the type in its path. Never raises.
    """
    code, kind = asked
    if principal is None or not principal.is_narrowed or code not in _WRITES:
        return
    reason = "; ".join(issue.diagnostics for issue in refusal.issues)
    moment = microseconds(context.now())
    try:
        await refusals.note(context.database, Refusal(moment, principal.name, code, kind, reason))
    except Exception as failure:
        logger.error("why a write was refused is not kept: %s", place(failure))  # noqa: TRY400 - no content
