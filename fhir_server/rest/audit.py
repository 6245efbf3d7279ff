"""What the audit is told of a request that has stored nothing: a read, a refusal, a write in vain.

What a write did is recorded with the write itself.

https://hl7.org/fhir/R4/auditevent.html
"""

from fhir_server.context import Context

NOBODY = "unknown"
"""Who asked, where no caller could be made out."""
UNROUTED = "unknown"
"""What was asked for, where the URL is nothing here."""


def record(
    context: Context,
    principal: str,
    interaction: str | None,
    place: tuple[str | None, str | None],
    status: int,
) -> None:
    """Record a request for a place (type, id) that is about to be answered or refused.

    Raises FhirError 503 where it cannot be recorded.
    """
    context.audit.record(principal, interaction or UNROUTED, *place, status)
