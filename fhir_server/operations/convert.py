"""$convert: what HL7 v2 messages would become, row by row, without storing anything.

Defined by OperationDefinition-convert. Nothing is left behind: neither the message in the inbox, nor
what would refuse it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from fhir_server.context import Context, instant
from fhir_server.interactions.dry_run import rehearse
from fhir_server.interactions.transaction import readable
from fhir_server.operations.acknowledge import london
from mappings import hl7v2
from mappings.hl7v2 import Conversion, MappingContext
from mappings.hl7v2.rows import Origin
from r4.issue import FhirError, Issue, operation_outcome
from r4.json import Resource

_CONTROL_ID = "CSOR"
"""MSH-10 of an answer that is never sent: the number of the inbox stands after it in one that is."""


@dataclass(frozen=True, slots=True)
class Converted:
    """One message's conversion; None, with the issues, where its bytes are no message.

    `now` is the instant of the conversion; `rehearsed` says what each entry of the Bundle would do in the
    registry, if one was asked.
    """

    raw: bytes
    conversion: Conversion | None
    issues: tuple[Issue, ...]
    now: str
    rehearsed: tuple[Issue, ...] = ()

    @property
    def code(self) -> hl7v2.AckCode:
        """The acknowledgement code that the message would be answered with."""
        return hl7v2.ack_code(self.issues)

    @property
    def acknowledgement(self) -> str:
        """The acknowledgement that the message would be answered with, as text."""
        message = self.conversion.message if self.conversion else None
        answer = hl7v2.ack(
            message or self.raw,
            code=self.code,
            issues=self.issues,
            control_id=_CONTROL_ID,
            now=london(datetime.fromisoformat(self.now)),
        )
        return answer.decode(message.charset if message else "utf-8", "replace")


def convert(context: Context, raw: bytes) -> Resource:
    """Return Parameters: what a message, or each message of a batch, would become in this registry.

    Raises FhirError 400 for bytes that are neither.
    """
    now = instant(context.now())
    mapping = replace(context.mapping, now=now)
    batch = hl7v2.batch(raw)
    if batch is None:
        conversion = hl7v2.explain(raw, mapping)
        return parameters([_rehearsed(context, _converted(raw, conversion, now))])
    found = (converted(each, mapping, now) for each in batch.messages)
    return parameters([_rehearsed(context, each) for each in found], is_batch=True)


def converted(raw: bytes, mapping: MappingContext, now: str) -> Converted:
    """Convert one message; bytes that are none are refused in the issues. Nobody's registry is asked."""
    try:
        return _converted(raw, hl7v2.explain(raw, mapping), now)
    except FhirError as refusal:
        return Converted(raw, None, tuple(refusal.issues), now)


def _converted(raw: bytes, conversion: Conversion, now: str) -> Converted:
    return Converted(raw, conversion, conversion.issues, now)


def _rehearsed(context: Context, made: Converted) -> Converted:
    """Ask what would become of the Bundle here, and what would refuse it."""
    bundle = made.conversion.bundle if made.conversion else None
    if bundle is None:
        return made
    try:
        found = rehearse(context, readable(context, bundle, trusted=True))
    except FhirError as refusal:
        found = list(refusal.issues)
    issues = tuple(issue for issue in found if issue.is_error)
    told = tuple(issue for issue in found if not issue.is_error)
    return replace(made, issues=(*made.issues, *issues), rehearsed=told)


def parameters(found: Sequence[Converted], *, is_batch: bool = False) -> Resource:
    """Write conversions as Parameters; of a batch, each message is a parameter with these as parts."""
    if not is_batch:
        return {"resourceType": "Parameters", "parameter": list(_parts(found[0]))}
    listed = [{"name": "message", "part": list(_parts(each))} for each in found]
    return {"resourceType": "Parameters", "parameter": listed}


def _parts(made: Converted) -> Iterator[Resource]:
    conversion = made.conversion
    if conversion is not None:
        yield _text("version", conversion.version)
    yield {
        "name": "acknowledgement",
        "part": [
            {"name": "code", "valueCode": made.code},
            _text("text", made.acknowledgement),
        ],
    }
    yield {"name": "outcome", "resource": operation_outcome(made.issues)}
    if made.rehearsed:
        yield {"name": "rehearsal", "resource": operation_outcome(made.rehearsed)}
    if conversion is None:
        return
    if conversion.bundle is not None:
        yield {"name": "bundle", "resource": conversion.bundle}
    for element in conversion.written:
        sources = [_text("source", str(place)) for place in element.source]
        part = [_text("component", str(element.part))] if element.part else []
        named = [_text("expression", element.expression), *sources]
        yield {"name": "element", "part": [*named, *_row(element.origin), *part]}
    for leaf in conversion.ignored:
        said = [
            _text("place", str(leaf.place)),
            {"name": "why", "valueCode": leaf.why},
            _text("reason", leaf.reason),
        ]
        yield {"name": "ignored", "part": [*said, *(_row(leaf.origin) if leaf.origin else [])]}


def _row(origin: Origin) -> list[Resource]:
    return [
        _text("row", origin.identifier),
        _text("table", origin.table),
        {"name": "line", "valuePositiveInt": origin.line},
        _text("layer", origin.layer),
    ]


def _text(name: str, value: Any) -> Resource:
    return {"name": name, "valueString": value}
