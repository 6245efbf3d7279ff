"""HL7 v2 over HTTP: `POST /hl7v2` takes one message, or a batch, and answers with acknowledgements.

An acknowledgement, whatever it says, is a 200: HTTP has done its part. Other statuses say that no
message was taken, in a sentence of plain text.

https://hapifhir.github.io/hapi-hl7v2/hapi-hl7overhttp/specification.html
"""

import asyncio
import codecs
from collections.abc import Sequence
from email.message import Message as Header
from itertools import islice
from typing import Any

from fhir_server.access import LOCAL, Callers, admit
from fhir_server.access.rates import ThrottledError
from fhir_server.access.senders import Peer
from fhir_server.operations.acknowledge import Reply, london
from fhir_server.operations.reception import Reception
from fhir_server.rest import content_encoding, errors, limits, sending
from fhir_server.rest.answers import Answer
from fhir_server.rest.negotiate import HL7V2
from fhir_server.rest.request import Receive, Request, Scope, Send, body, request
from fhir_server.store.audit_row import NOBODY
from mappings import hl7v2
from r4.issue import FhirError, error

PATH = "/hl7v2"
_BEGINNING = 64 * 1024
"""How much is kept of a body that is larger than is taken."""
_AT_ONCE = 32
"""How many messages of a batch are under way at a time."""
_ALIKE = {"cp1252": "iso8859-1", "ascii": "utf-8"}
"""Codecs of which the second is what a sender may name the first by."""
_PLAIN = "text/plain; charset=utf-8"
_TOO_LARGE = 413


class Hl7v2Application:
    """Answers `POST /hl7v2`; everything else is handed to another application."""

    def __init__(self, reception: Reception, callers: Callers, other: Any) -> None:
        self.reception, self.callers, self.other = reception, callers, other

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"].rstrip("/") != PATH:
            await self.other(scope, receive, send)
            return
        asked = request(scope)
        try:
            answer = await self._answer(asked, receive)
        except FhirError as found:
            answer = _refusal(found)
        except Exception as unforeseen:
            answer = _refusal(errors.failure(asked, unforeseen))
        await sending.send(asked, answer, {}, send)

    async def _answer(self, asked: Request, receive: Receive) -> Answer:
        if asked.method != "POST":
            text = f"{asked.method} is not supported on this URL; POST one message, or a batch."
            raise FhirError(405, [error("not-supported", text, "http.method")])
        peer = self._peer(asked)
        self.reception.sender(peer)
        kind, charset = _content_type(asked)
        answered = f"{kind}; charset={charset}" if charset else kind
        raw = bytearray()
        try:
            content = await self._body(asked, receive, raw)
        except FhirError as refusal:
            if refusal.status == _TOO_LARGE and bytes(raw[:_BEGINNING]).lstrip().startswith(b"MSH"):
                reply = self.reception.oversize(bytes(raw[:_BEGINNING]), peer)
                return _written(await _said(reply) or b"", answered)
            raise
        named = None if charset is None else _codec(charset)
        return _written(await self._taken(content, named, peer), answered)

    def _peer(self, asked: Request) -> Peer:
        """Return who calls; raises FhirError 401 or 403 for whoever may not send messages."""
        try:
            principal = self.callers.identify(asked.client, asked.headers, asked.method, "hl7v2")
            admit(principal, "process-message")
            self.reception.rates.ask(principal, "hl7v2")
        except ThrottledError:
            raise
        except FhirError as refusal:
            limits.ask_unknown(self.reception.rates, asked.client, asked.headers)
            self.reception.context.audit.record(NOBODY, "process-message", status=refusal.status)
            raise
        name = None if principal == LOCAL else principal.name
        return Peer("http-hl7v2", asked.client or "", client=name)

    async def _body(self, asked: Request, receive: Receive, raw: bytearray) -> bytes:
        largest = self.reception.context.settings.max_body
        await body(receive, asked.headers, largest, raw)
        if content_encoding.is_encoded(asked.headers.get(b"content-encoding")):
            sent = bytes(raw)
            raw.clear()
            return await content_encoding.decoded(sent, largest)
        return bytes(raw)

    async def _taken(self, content: bytes, named: str | None, peer: Peer) -> bytes:
        """Return what is said of one message, or of each message of a batch.

        named: the codec of the charset of the Content-Type. Raises FhirError 415 where it is another one.
        """
        try:
            found = hl7v2.batch(content)
        except FhirError as refusal:
            return await _said(self.reception.undivided(content, refusal, peer)) or b""
        if named is not None and not content.isascii():
            _refuse_other_charset([content] if found is None else found.messages, named)
        if found is None:
            return await _said(self.reception.receive(content, peer)) or b""
        answers: list[bytes] = []
        left = iter(found.messages)
        while some := list(islice(left, _AT_ONCE)):
            for _ in some:
                await self.reception.paced(peer)
            replies = [self.reception.receive(each, peer) for each in some]
            answers += [await _said(each) or b"" for each in replies]
        now, number = london(self.reception.context.now()), self.reception.context.new_id()
        return hl7v2.batch_ack(found, answers, control_id=number[:20], now=now)


async def _said(reply: Reply) -> bytes | None:
    """Return what is said at last: once the message is worked through, if that is asked for."""
    first = await asyncio.shield(reply.answer)
    if reply.later is None:
        return first
    return await asyncio.shield(reply.later) or first


def _content_type(asked: Request) -> tuple[str, str | None]:
    """Return the media type and charset of the body; raises FhirError 415 for what is not read."""
    header = Header()
    header["Content-Type"] = asked.header("content-type") or "none/none"
    kind, charset = header.get_content_type(), header.get_content_charset()
    if kind not in HL7V2:
        text = f"The Content-Type {kind} is not read here; send {HL7V2[0]}."
        raise FhirError(415, [error("not-supported", text, "http.Content-Type")])
    return kind, charset


def _codec(charset: str) -> str:
    """Return the codec of a charset; raises FhirError 415 for one that is not known."""
    try:
        return codecs.lookup(charset).name
    except LookupError:
        text = f"The charset {charset} is not known here."
        raise FhirError(415, [error("not-supported", text, "http.Content-Type")]) from None


def _refuse_other_charset(messages: Sequence[bytes], named: str) -> None:
    """Raise FhirError 415 where the Content-Type names another charset than MSH-18 has them read in."""
    for each in messages:
        try:
            used = codecs.lookup(hl7v2.parse(each).charset).name
        except FhirError:
            continue  # what is wrong with it is said in its acknowledgement
        if named not in (used, _ALIKE.get(used)):
            text = (
                f"The Content-Type says charset={named}, and MSH-18 has the message read in "
                f"{used}: let both say the same."
            )
            raise FhirError(415, [error("not-supported", text, "http.Content-Type")])


def _written(content: bytes, kind: str) -> Answer:
    """Return acknowledgements as they were asked; 204 where none was asked for."""
    if not content:
        return Answer(b"", 204)
    return Answer(content, 200, media_type=kind)


def _refusal(refusal: FhirError) -> Answer:
    """Return the answer to what is no message, or nobody's: sentences that a person can read."""
    sentences = "\n".join(issue.diagnostics for issue in refusal.issues)
    headers = errors.headers_of(refusal)
    if refusal.status == 405:  # noqa: PLR2004
        headers["Allow"] = "POST"
    return Answer(f"{sentences}\n".encode(), refusal.status, headers, _PLAIN)
