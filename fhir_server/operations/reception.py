"""Where HL7 v2 comes in, whichever door it takes: who sends is made out before anything is read."""

import asyncio
import logging

from fhir_server.access import REGISTRY
from fhir_server.access.rates import Rates, neighbourhood
from fhir_server.access.senders import LOCAL_SENDER, Peer, Sender, Senders
from fhir_server.context import Context, Principal
from fhir_server.operations.acknowledge import Reply, london
from fhir_server.operations.lanes import Lanes
from fhir_server.operations.policies import agreed
from fhir_server.operations.receive import receive, refuse_batch, refuse_oversize
from fhir_server.store.audit_row import Agent
from mappings import hl7v2
from r4.issue import FhirError

logger = logging.getLogger("csor.reception")

_CODE = "process-message"
_UNKNOWN = "unknown"


class Reception:
    """Receives messages of registered senders, each with the rights of its own; refuses the others'."""

    def __init__(self, context: Context, lanes: Lanes, senders: Senders) -> None:
        self.context, self.lanes, self.senders = context, lanes, senders
        self.policy_of = agreed(senders)
        self.rates = Rates(context.settings)
        self._contexts: dict[str, Context] = {}

    async def paced(self, peer: Peer) -> None:
        """Wait until a sender's next message may come: whoever is not read from sends no more."""
        try:
            sender = self.senders.of(peer)
        except FhirError:
            name = f"{_UNKNOWN} {neighbourhood(peer.address)}"
        else:
            if sender is LOCAL_SENDER:
                return
            name = sender.name
        while wait := self.rates.wait(name, peer.door):
            await asyncio.sleep(wait)

    def sender(self, peer: Peer) -> Sender:
        """Return who sends; raises FhirError 403, which the audit is told of, for nobody known."""
        try:
            return self.senders.of(peer)
        except FhirError as refusal:
            name = peer.client or _UNKNOWN
            self.context.audit.record(Agent(name), _CODE, status=refusal.status)
            logger.warning("%s refused: %s", peer.door, peer.client or peer.certificate or "plain")
            raise

    def receive(self, raw: bytes, peer: Peer) -> Reply:
        """Take a message; calls are to come in the order of arrival."""
        try:
            sender = self.sender(peer)
        except FhirError as refusal:
            return self._refused(raw, refusal)
        return receive(self._of(sender), self.lanes, raw, sender, peer.door, self.policy_of)

    def oversize(self, beginning: bytes, peer: Peer) -> Reply:
        """Refuse a message that is larger than is taken, of which this is the beginning."""
        try:
            sender = self.sender(peer)
        except FhirError as refusal:
            return self._refused(beginning, refusal)
        return refuse_oversize(self._of(sender), beginning, sender, peer.door)

    def undivided(self, raw: bytes, refusal: FhirError, peer: Peer) -> Reply:
        """Refuse a batch that cannot be divided, for the reasons given; raises FhirError 403."""
        sender = self.sender(peer)
        return refuse_batch(self._of(sender), raw, refusal, peer.door)

    def _refused(self, raw: bytes, refusal: FhirError) -> Reply:
        """Answer AR to a message that is neither read nor kept."""
        now, number = london(self.context.now()), self.context.new_id()[:20]
        said = hl7v2.ack(raw, code="AR", issues=refusal.issues, control_id=number, now=now)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        answer.set_result(said)
        return Reply(answer, None, answer)

    def _of(self, sender: Sender) -> Context:
        found = self._contexts.get(sender.name)
        if found is None:
            principal = Principal(sender.name, frozenset({REGISTRY}))
            found = self._contexts[sender.name] = self.context.asked_by(principal)
        return found
