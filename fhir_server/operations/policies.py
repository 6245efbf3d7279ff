"""What becomes of a sender's messages where its feed goes wrong: the registry agrees it with each."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from fhir_server.access.senders import Senders


class Policy(NamedTuple):
    """What is done about a control id that comes again, and about what follows a message that failed.

    reused: a message whose MSH-10 was used for other content is kept apart (quarantine), or worked as any
    other (accept), for senders whose MSH-10 says nothing. failing: later messages of the child are worked
    all the same (continue), or wait until the one that failed is replayed or dismissed (park).
    """

    reused: Literal["quarantine", "accept"] = "quarantine"
    failing: Literal["continue", "park"] = "continue"


PolicyOf = Callable[[str | None], Policy]
"""Returns the policy for what came by a connection; None: by one that has no name."""


def agreed(senders: Senders) -> PolicyOf:
    """Return what is agreed with each registered sender; with a connection of no name, the usual."""
    known = {each.sender.name: each.sender for each in senders.known or ()}

    def policy_of(connection: str | None) -> Policy:
        sender = known.get(connection) if connection is not None else None
        return Policy(sender.reused, sender.failing) if sender is not None else Policy()

    return policy_of


def usual(connection: str | None) -> Policy:
    """Return what holds for whoever has agreed nothing else."""
    del connection
    return Policy()
