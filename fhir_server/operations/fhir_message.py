"""$process-message: take a FHIR message, and answer it with a message.

The raw message is in the inbox before anything it says is stored; what it says, and that it has been
processed, are one commit. Sent again, it gets the same answer and changes nothing; one that was refused
is tried again. https://hl7.org/fhir/R4/messageheader-operation-process-message.html
"""

from dataclasses import dataclass, replace
from datetime import datetime

from fhir_server.context import Context, instant, microseconds
from fhir_server.interactions import conformance
from fhir_server.interactions.erased import is_of_erased
from fhir_server.interactions.referred import Referred
from fhir_server.interactions.transaction import transaction
from fhir_server.operations import parameters
from fhir_server.operations.parameters import Input, Kinds
from fhir_server.operations.unforeseen import unforeseen
from fhir_server.store import inbox
from fhir_server.store.apart import WriterEndedError
from fhir_server.store.inbox import Arrival, Message, Settlement
from mappings import fhir_message
from mappings.fhir_message import EVENT, Code, FhirMessage
from r4 import xml
from r4.issue import FhirError, Issue, error
from r4.json import Resource, decode, encode

NAMES: Kinds = {"content": "resource", "async": "boolean", "response-url": "uri"}
CODE = "$process-message"
_DOOR, _KIND = "http-fhir", "record"
"""As what these messages are counted: where they come in, and the one event that is taken."""
_TRANSIENT = (409, 503)
_UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to a message, and whether all that it says is stored."""

    content: bytes
    is_stored: bool


async def process_message(context: Context, given: Input, raw: bytes, target: str) -> Answered:
    """Store what a message says, and return the message that answers it: ok, or why not.

    Raises FhirError 400 for what is no message that could be answered so, and for an asynchronous answer.
    """
    if given.get("async") or "response-url" in given:
        text = "Answers come with the response alone: leave out async and response-url."
        raise FhirError(400, [error("not-supported", text, "http.async")])
    message = _read(context, parameters.required(given, "content"))
    moment = microseconds(context.now())
    arrival = Arrival("http", message.endpoint, message.number, message.digest, target, raw)
    kept = await inbox.receive(context.database, arrival, moment)
    return await _work(context, kept, message)


async def work(context: Context, kept: Message) -> bytes:
    """Answer a message that an interrupted server had received; it could be read then."""
    is_xml = kept.raw.lstrip()[:1] == b"<"
    body = xml.decode(kept.raw) if is_xml else decode(kept.raw)
    content = parameters.of_resource(body, NAMES, "content")["content"]
    return (await _work(context, kept, _read(context, content))).content


def _read(context: Context, bundle: Resource) -> FhirMessage:
    header = fhir_message.envelope(bundle)
    now = instant(context.now())
    found = conformance.issues(context, header, Referred(context), now, warnings=False)
    if errors := [issue for issue in found if issue.is_error]:
        raise FhirError(400, errors)
    return fhir_message.read(bundle)


async def _work(context: Context, kept: Message, message: FhirMessage) -> Answered:
    if kept.status == "processed" and kept.answer is not None:
        return Answered(kept.answer, is_stored=True)
    began = context.now()
    try:
        answered, code = await _tried(context, kept, message)
    except inbox.SettledError:
        settled = inbox.read(context.database, kept.id)
        if settled is None or settled.answer is None:
            raise
        return Answered(settled.answer, is_stored=True)
    seconds = (context.now() - began).total_seconds()
    kind = _KIND if message.header.get("eventUri") == EVENT else None
    context.metrics.message(_DOOR, None, kind, code, max(0.0, seconds))
    return answered


async def _tried(context: Context, kept: Message, message: FhirMessage) -> tuple[Answered, Code]:
    """Store a message, and return its answer with its code; where the writer ends, once more.

    For nobody knows then what is stored, and what is settled cannot be settled again. Where it ends again
    the message stays received.
    """
    try:
        return await _stored(context, kept, message)
    except WriterEndedError:
        try:
            return await _stored(context, kept, message)
        except WriterEndedError:
            text = "The registry could not store now; the message is kept. Send it again later."
            issues = (error("transient", text),)
            return await _refused(context, kept, message, _UNAVAILABLE, issues)


async def _stored(context: Context, kept: Message, message: FhirMessage) -> tuple[Answered, Code]:
    moment = context.now()
    try:
        _refuse(context, kept, message)
        bundle = fhir_message.to_bundle(message, instant(moment), context.base_url)
        _refuse_invalid(context, bundle, instant(moment))
        answer = _answer(context, message, "ok", (), moment)
        settlement = Settlement(kept.id, "processed", microseconds(moment), answer)
        await transaction(context, bundle, trusted=True, settlement=settlement)
        return Answered(answer, is_stored=True), "ok"
    except FhirError as refusal:
        status, issues = refusal.status, tuple(refusal.issues)
    except (inbox.SettledError, WriterEndedError):
        raise
    except Exception as failure:
        status, issues = 500, (unforeseen(kept.id, failure),)
    return await _refused(context, kept, message, status, issues)


async def _refused(
    context: Context, kept: Message, message: FhirMessage, status: int, issues: tuple[Issue, ...]
) -> tuple[Answered, Code]:
    moment = context.now()
    passes = status in _TRANSIENT and all(each.rule != "signed" for each in issues)
    code: Code = "transient-error" if passes else "fatal-error"
    answer = _answer(context, message, code, issues, moment)
    if status != _UNAVAILABLE:  # the message stays received, and is worked through later
        reason = "; ".join(issue.diagnostics for issue in issues)
        settlement = Settlement(
            kept.id, "refused", microseconds(moment), answer, reason,
            is_emptied=is_of_erased(issues),
        )  # fmt: skip
        await inbox.refuse(context.database, settlement)
    context.audit.record(context.agent, CODE, None, None, status)
    return Answered(answer, is_stored=False), code


def _refuse(context: Context, kept: Message, message: FhirMessage) -> None:
    """Raise FhirError 422 for an event that is not taken, or an id that other content has had."""
    if message.header.get("eventUri") != EVENT:
        text = f"The one event that is taken is the eventUri {EVENT}."
        raise FhirError(422, [error("not-supported", text, "Bundle.entry[0].resource.event")])
    if inbox.reused(context.database, kept):
        text = f"The message {message.number} has been sent before, with other content."
        raise FhirError(422, [error("duplicate", text, "Bundle.identifier")])


def _refuse_invalid(context: Context, bundle: Resource, now: str) -> None:
    """Raise FhirError 422 for what is laid over what is here, and is not valid by itself.

    Everything else is validated as it is stored.
    """
    issues: list[Issue] = []
    for number, entry in enumerate(bundle["entry"]):
        if "extension" in entry["request"]:
            found = conformance.issues(
                context, entry["resource"], Referred(context), now, warnings=False
            )
            at = f"Bundle.entry[{number}].resource"
            issues += [
                replace(each, expression=f"{at}{_below(each.expression)}")
                for each in found
                if each.is_error
            ]
    if issues:
        raise FhirError(422, issues)


def _below(expression: str | None) -> str:
    _, dot, rest = (expression or "").partition(".")
    return dot + rest


def _answer(
    context: Context,
    message: FhirMessage,
    code: Code,
    issues: tuple[Issue, ...],
    moment: datetime,
) -> bytes:
    endpoint = f"{context.base_url}/{CODE}"
    return encode(fhir_message.response(message, code, issues, instant(moment), endpoint))
