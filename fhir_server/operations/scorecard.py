"""The scorecard of an integrator: which scenarios its traffic has shown, which failed, which are open.

It is derived from what is stored: the audit, the inbox, the versions that the client has written and why
its writes were refused. Nothing is counted while others are served.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from fhir_server.operations.scorecard_scenarios import Door, Scenario, Way, scenarios
from fhir_server.store import inbox, refusals, traffic
from fhir_server.store.connection import Database
from fhir_server.store.refusals import Refusal
from fhir_server.store.traffic import Access, Sent
from mappings import hl7v2
from r4.issue import FhirError
from r4.json import Resource, decode

State = Literal["passed", "failed", "open"]

_STATUS_OK, _STATUS_REFUSED = 200, 400
_SEVERAL = 412
_MENDABLE = frozenset({400, 409, 412, 413, 422})
_WRITES = frozenset({"create", "update", "patch", "transaction", "delete"})
_NOT_TAKEN = frozenset({"refused", "quarantined", "parked"})
_FOREIGN = "hospital"
"""The target, in the inbox, of a message of a hospital that its connection may not speak for."""
_IN_THE_ANSWER = "It was refused: the OperationOutcome of the answer says what to mend."


@dataclass(frozen=True, slots=True)
class Client:
    """Whose traffic it is: its name, the connections by which it sends HL7 v2, and its doors.

    application: MSH-3, in a sandbox, where nobody is registered as a sender: no proof of who sends.
    """

    name: str
    connections: frozenset[str]
    doors: frozenset[Door]
    application: str | None = None

    @property
    def is_held_to_hospitals(self) -> bool:
        """Whether it sends by a registered connection, which speaks for its own hospitals alone."""
        return bool(self.connections - {traffic.ANYBODY})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One time that a scenario was tried: when (microseconds), by which request or message, what is wrong."""

    moment: int
    by: str
    wrong: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """What became of a scenario by a door; attempt: by which request or message, None where it is open."""

    scenario: Scenario
    door: Door
    state: State
    attempt: Attempt | None = None

    @property
    def how(self) -> str:
        """What to do for it."""
        return self.scenario.ways[self.door].how

    @property
    def message(self) -> str:
        """Say why it failed, or what is to be done; nothing of what has passed."""
        if self.state == "failed" and self.attempt is not None:
            return self.attempt.wrong or _IN_THE_ANSWER
        return self.how if self.state == "open" else ""


@dataclass(frozen=True, slots=True)
class Scorecard:
    """What a client has shown at a moment (microseconds)."""

    client: Client
    moment: int
    lines: tuple[Line, ...]

    def count(self, state: State) -> int:
        """Count the lines of a state."""
        return sum(line.state == state for line in self.lines)


def scorecard(database: Database, client: Client, moment: int) -> Scorecard:
    """Return the scorecard of a client, from a database that is not narrowed to what somebody sees."""
    found = _Traffic.of(database, client)
    lines = tuple(
        _line(found, each, door, way)
        for each in scenarios()
        for door, way in each.ways.items()
        if door in client.doors and (not way.foreign or client.is_held_to_hospitals)
    )
    return Scorecard(client, moment, lines)


@dataclass(frozen=True, slots=True)
class _Traffic:
    """The newest of what a client has asked and stored, sent, and been refused; newest first."""

    database: Database
    accesses: list[Access]
    sent: list[Sent]
    refusals: list[Refusal]
    _bodies: dict[int, Resource | None] = field(default_factory=dict)

    @classmethod
    def of(cls, database: Database, client: Client) -> "_Traffic":
        accesses = traffic.accesses(database, sorted({client.name, *client.connections}))
        sent = traffic.sent(database, sorted(client.connections), client.application)
        told = [*refusals.of(database, client.name), *traffic.refused(database, client.name)]
        told.sort(key=lambda each: each.moment, reverse=True)
        return cls(database, accesses, sent, told)

    def body(self, access: Access) -> Resource | None:
        """Return the resource that an access has stored, or None."""
        if access.id not in self._bodies:
            found = traffic.stored(self.database, access)
            self._bodies[access.id] = decode(found.body) if found and found.body else None
        return self._bodies[access.id]

    def has_segment(self, message: Sent, segment: str) -> bool:
        """Tell whether a message has a segment of a name."""
        kept = inbox.read(self.database, message.id)
        try:
            return kept is not None and bool(hl7v2.parse(kept.raw).segments(segment))
        except FhirError:
            return False


def _line(found: _Traffic, scenario: Scenario, door: Door, way: Way) -> Line:
    attempts = sorted(_attempts(found, door, way), key=lambda each: each.moment, reverse=True)
    passed = next((each for each in attempts if each.wrong is None), None)
    if passed is not None:
        return Line(scenario, door, "passed", passed)
    return Line(scenario, door, "failed" if attempts else "open", attempts[0] if attempts else None)


def _attempts(found: _Traffic, door: Door, way: Way) -> Iterator[Attempt]:
    """Yield each time that a scenario was tried by a door, in no order."""
    if way.stored:
        return _stored(found, way)
    if way.kinds:
        return _processed(found, way)
    if way.asked:
        return _answered(found, way)
    if way.foreign:
        return (_message(each) for each in found.sent if each.target == _FOREIGN)
    if door == "fhir":
        return _found_again(found) if way.again else _mended_writes(found)
    return _came_again(found) if way.again else _mended_messages(found)


def _stored(found: _Traffic, way: Way) -> Iterator[Attempt]:
    for each in found.accesses:
        is_asked = way.by is None or each.interaction == way.by
        if each.version is None or each.type not in way.stored or not is_asked:
            continue
        resource = found.body(each)
        if resource is not None and way.is_meant(resource):
            wrong = next((one.otherwise for one in way.expect if not one.holds(resource)), None)
            yield Attempt(each.moment, _request(each), wrong)
    for refusal in found.refusals if way.refused else ():
        is_asked = way.by is None or refusal.interaction in (way.by, "patch")
        if refusal.type in way.stored and is_asked:
            yield _refused(refusal)


def _processed(found: _Traffic, way: Way) -> Iterator[Attempt]:
    for each in found.sent:
        if each.kind not in way.kinds or each.target:
            continue
        if way.segment is not None and not found.has_segment(each, way.segment):
            continue
        if each.status == "processed":
            yield _message(each)
        elif each.status in _NOT_TAKEN:
            yield _message(each, each.reason or _IN_THE_ANSWER)


def _answered(found: _Traffic, way: Way) -> Iterator[Attempt]:
    for each in found.accesses:
        if way.asked not in ("*", each.interaction) or each.status is None:
            continue
        if each.status == way.status:
            yield Attempt(each.moment, _request(each))
        elif way.otherwise is not None and each.status >= _STATUS_REFUSED:
            yield Attempt(each.moment, _request(each), way.otherwise)


def _found_again(found: _Traffic) -> Iterator[Attempt]:
    for each in found.accesses:
        if each.interaction == "create" and each.status == _STATUS_OK:
            yield Attempt(each.moment, _request(each))
        elif each.interaction == "create" and each.status == _SEVERAL:
            wrong = "If-None-Exist found several: search by an identifier that one alone has."
            yield Attempt(each.moment, _request(each), wrong)


def _came_again(found: _Traffic) -> Iterator[Attempt]:
    for each in found.sent:
        if each.repeated is not None:
            yield Attempt(each.repeated, _message(each).by)


def _mended_writes(found: _Traffic) -> Iterator[Attempt]:
    """Yield each refused write; it is mended by what of its type was stored after it.

    By their moments: a refusal comes into the audit a while after it.
    """
    written = sorted(
        (each for each in found.accesses if each.version is not None), key=lambda each: each.moment
    )
    for each in found.accesses:
        if each.interaction not in _WRITES or each.status not in _MENDABLE:
            continue
        mended = next(
            (o for o in written if o.moment > each.moment and each.type in (None, o.type)), None
        )
        if mended is not None:
            by = f"{_request(each)}, then {_request(mended)}"
            yield Attempt(mended.moment, by)
        else:
            yield Attempt(each.moment, _request(each), _why(found.refusals, each))


def _why(told: Iterable[Refusal], access: Access) -> str:
    """Return why a write was refused: what was told next to that moment."""
    near = min(
        (each for each in told if each.type == access.type),
        key=lambda each: abs(each.moment - access.moment),
        default=None,
    )
    return _IN_THE_ANSWER if near is None else near.reason


def _mended_messages(found: _Traffic) -> Iterator[Attempt]:
    """Yield each refused message; it is mended by one of its kind that was processed after it."""
    processed = [each for each in found.sent if each.status == "processed"]
    for each in found.sent:
        if each.status not in ("refused", "dismissed") or each.target:
            continue
        after = [one for one in processed if one.id > each.id and one.kind == each.kind]
        if after:
            mended = after[-1]
            yield Attempt(mended.received, f"{_message(each).by}, then {_message(mended).by}")
        elif each.status == "refused":
            yield _message(each, each.reason or _IN_THE_ANSWER)


def _request(access: Access) -> str:
    place = "/".join(each for each in (access.type, access.key) if each)
    version = f"/_history/{access.version}" if access.version is not None else ""
    status = f"answered with {access.status}" if access.status is not None else ""
    return " ".join(each for each in (access.interaction, f"{place}{version}", status) if each)


def _refused(refusal: Refusal) -> Attempt:
    by = f"{refusal.interaction} {refusal.type or ''}".strip()
    return Attempt(refusal.moment, f"{by}, refused", refusal.reason)


def _message(message: Sent, wrong: str | None = None) -> Attempt:
    by = f"{message.kind or 'message'} {message.control_id} (number {message.id})"
    return Attempt(message.received, by, wrong)
