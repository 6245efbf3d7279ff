"""What the audit trail is told of a request: every read, and every refusal.

What a write did is recorded with the write itself.

https://hl7.org/fhir/R4/auditevent.html
"""

from typing import Protocol

from fhir_server.context import Context

NOBODY = "unknown"
"""Who asked, where no caller could be made out."""


class Trail(Protocol):
    """Where it is recorded who asked for what, and what came of it."""

    def record(
        self,
        principal: str,
        interaction: str | None,
        resource_type: str | None,
        resource_id: str | None,
        status: int,
    ) -> None:
        """Record one request that was answered or refused; without interaction, none was routed."""


def record(
    context: Context,
    principal: str,
    interaction: str | None,
    place: tuple[str | None, str | None],
    status: int,
) -> None:
    """Tell the context's trail, where it has one, of a request for a place (type, id)."""
    trail: Trail | None = getattr(context, "audit", None)
    if trail is not None:
        trail.record(principal, interaction, *place, status)
