"""The FHIR endpoint as an ASGI application: identify, admit, answer, or say why not.

https://hl7.org/fhir/R4/http.html
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from fhir_server.access import EVERYBODY_MAY, STRANGER, Callers, admit, purpose
from fhir_server.access.rates import Rates, ThrottledError
from fhir_server.context import Context, Principal
from fhir_server.rest import (
    audit,
    confined,
    content_encoding,
    errors,
    integrators,
    limits,
    negotiate,
    pseudonymised,
    sending,
)
from fhir_server.rest.answers import Answer, Asked
from fhir_server.rest.cors import cors
from fhir_server.rest.keeping import REPLAYED, Keeper, Refusals, write
from fhir_server.rest.request import Headers, Receive, Request, Scope, Send, body, request
from fhir_server.rest.routes import Found, Interaction, routes
from fhir_server.store.told import Telling, Told
from fhir_server.store.uses import EXTRACTING, MEASURING, READING, Use
from r4.issue import FhirError, error

Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Signed = Callable[[Headers, bytes], None]

BASE = "/fhir"
READS = frozenset(
    {
        "capabilities", "smart-configuration", "search-type", "search-system", "read", "vread",
        "$validate", "$extract", "$status", "$events", "$export", "$import", "$bulk",
        "$lastn", "$stats", "$grade", "$validate-code", "$expand", "$lookup", "$translate", "$subsumes",
        "$closure", "$convert", "$carry-over", "$assemble", "$populate",
        "$scorecard", "$document", "$pdf", "$mdm", "$collect-data", "$care-gaps",
        "$data-requirements",
    }
)  # fmt: skip
"""What stores no version, and leaves nothing in the inbox when it is refused."""
UNKEPT = READS | {"$purge"}
"""What leaves nothing in the inbox: a purge records itself, and must not keep whom it erases.

Nor does what a session writes: its page holds the note still, and a replay would not be confined; nor,
for that, what a hospital's client writes, which sends it again.
"""
USES: Mapping[str, Use] = {
    **dict.fromkeys(
        (
            "read", "vread", "history-instance", "history-type", "history-system", "search-type",
            "search-system", "search-compartment", "$everything", "$document", "$pdf", "$mdm",
            "$populate", "$extract",
        ),
        READING,
    ),
    **dict.fromkeys(("$lastn", "$stats", "$grade"), MEASURING),
}  # fmt: skip
"""What the registry reads for, by what it is asked for: what somebody objects to is not read for that."""
_READ_ALONE = frozenset({"read", "vread", "history-instance"})
"""What needs to read and not to search: the queries of scopes for `r` decide."""
_SAFE = frozenset({"GET", "HEAD"})
_STORING = frozenset({"$evaluate", "$export"})
"""What stores something though it may be asked with GET: another site's page could have a session do it."""
_MOST_KNOWN = 1024
"""Most principals whose contexts are kept: one client has another for each choice of scopes."""


class FhirApplication:
    """Answers what is asked below the base; everything else is handed to another application.

    signed: is told of each note that a session has signed, by the request's headers and the answer.
    """

    def __init__(
        self,
        context: Context,
        callers: Callers,
        other: Application,
        rates: Rates,
        signed: Signed | None = None,
    ) -> None:
        self.context, self.callers, self.other, self.signed = context, callers, other, signed
        self.rates = rates
        self.refusals = Refusals(context.database, context.settings.refusals_quota)
        self._contexts: dict[Principal, Context] = {}
        self._cors = cors(context.settings.cors_origins)
        self._routes = routes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or not scope["path"].startswith(BASE):
            await self.other(scope, receive, send)
            return
        segments = _segments(scope)
        if segments is None:
            await self.other(scope, receive, send)
            return
        asked = request(scope)
        shared = self._cors.headers(asked)
        if (allowed := self._cors.preflight(asked)) is not None:
            await sending.send(asked, Answer(b"", 204), allowed, send)
            return
        found = self._routes.find(segments)
        exchange = _Exchange(self, asked, found, scope.get(REPLAYED))
        answer = await self.context.database.driven(exchange.answered(receive))
        self.context.metrics.request(asked.method, answer.status)
        await sending.send(asked, answer, shared, send)

    def asked_by(self, principal: Principal) -> Context:
        """Return the context of a principal; each is made once, but that of a session, which ends."""
        if principal.patient is not None:
            return self.context.asked_by(principal)
        found = self._contexts.get(principal)
        if found is None:
            if len(self._contexts) >= _MOST_KNOWN:
                self._contexts.clear()
            found = self._contexts[principal] = self.context.asked_by(principal)
        return found


@dataclass(slots=True)
class _Exchange:
    """One request on its way to its answer: what of it is known by now."""

    door: FhirApplication
    request: Request
    found: Found | None
    replayed: int | None
    principal: Principal | None = None
    interaction: Interaction | None = None
    keeper: Keeper | None = None
    raw: bytearray = field(default_factory=bytearray)
    encoded: bool = False

    async def answered(self, receive: Receive) -> Answer:
        """Return the answer, which may be a refusal; it is recorded by then, or is one."""
        with Telling(self.request.client) as told:
            return await self._answered(receive, told)

    async def _answered(self, receive: Receive, told: Told) -> Answer:
        try:
            return await self._answer(receive, told)
        except FhirError as found:
            refusal = found
        except Exception as unforeseen:
            refusal = errors.failure(self.request, unforeseen)
        if self.raw and self.keeper:
            oversize = len(self.raw) > self.door.context.settings.max_body or (
                self.encoded and refusal.status == content_encoding.TOO_LARGE
            )
            refused = write(self.request, bytes(self.raw), encoded=self.encoded)
            refusal = await self.keeper.refused(refused, refusal, oversize=oversize)
        elif self.raw and self.keeper is None:
            await integrators.told(self.door.context, self.principal, self._asked(), refusal)
        with suppress(FhirError):  # what refuses tells of nothing: it may leave unrecorded
            if not isinstance(refusal, ThrottledError):  # a flood must not fill the audit
                self._recorded(refusal.status)
        return errors.refusal(self.request, refusal, self.found.served if self.found else "")

    async def _answer(self, receive: Receive, told: Told) -> Answer:
        interaction, parameters, context = self._admitted()
        raw = await self._body(receive)
        is_safe = self.request.method in _SAFE
        if not is_safe:  # what cannot be answered is refused before it is stored
            negotiate.wanted(self.request)
        asked = Asked(self.request, parameters, raw, self.keeper)
        if context.principal.is_analyst:
            answer = await pseudonymised.answer(context, interaction, asked)
        elif context.principal.patient is not None:
            answer = await self._confined(context, interaction, asked)
        else:
            answer = await interaction.answer(context, asked)
        if raw and answer.settles and self.keeper and self.keeper.settles:
            await self.keeper.accepted(write(self.request, raw), answer.content)
        answer = _written(self.request, answer)
        if not told.is_recorded:
            audit.tells(interaction.code, answer.content)
            self._recorded(answer.status)
        return answer

    async def _confined(self, context: Context, interaction: Interaction, asked: Asked) -> Answer:
        """Return the answer to a session that is confined to one child."""
        asked = confined.sent(context, interaction.code, asked)
        answer = confined.shown(context, interaction.code, await interaction.answer(context, asked))
        if interaction.code in confined.SIGNING and self.door.signed is not None:
            self.door.signed(self.request.headers, answer.content)
        return answer

    def _admitted(self) -> tuple[Interaction, Mapping[str, str], Context]:
        """Find out who asks and what for; raises FhirError 400, 401, 403, 404 or 405."""
        door, request, found = self.door, self.request, self.found
        self.interaction = found.rows.get(request.method) if found else None
        self.principal = self._caller()
        if found is None:
            text = "This server has nothing at this URL; see metadata for what it has."
            raise FhirError(404, [error("not-found", text, "http.url")])
        if self.interaction is None:
            text = f"{request.method} is not supported on this URL; supported: {found.served}."
            raise FhirError(405, [error("not-supported", text, "http.method")])
        admit(self.principal, self.interaction.code, _type(found.parameters))
        context = door.asked_by(self.principal)
        if self.interaction.code in _READ_ALONE:
            context = context.by_letters("r")
        if self.interaction.code in USES:
            use = EXTRACTING if self.principal.is_analyst else USES[self.interaction.code]
            context = context.used_for(use)
        who = context.principal
        confined = who.patient is not None or who.is_narrowed or who.scoped
        if self.interaction.code not in UNKEPT and not confined:
            self.keeper = Keeper(context, request.path, door.refusals, self.replayed)
        if context.principal.is_analyst:
            self.found = found = pseudonymised.named(context, self.interaction, found)
        return self.interaction, found.parameters, context

    def _caller(self) -> Principal:
        """Find out who asks; nobody has to be known for what everybody may read."""
        request = self.request
        stores = self.interaction is not None and self.interaction.code in _STORING
        method = "POST" if stores else request.method
        try:
            found = self.door.callers.identify(request.client, request.headers, method)
        except FhirError as refusal:
            limits.ask_unknown(self.door.rates, request.client, request.headers)
            is_open = self.interaction is not None and self.interaction.code in EVERYBODY_MAY
            if refusal.status != 401 or not is_open:  # noqa: PLR2004
                raise
            return STRANGER
        self.door.rates.ask(found, "fhir")
        said = request.headers.get(purpose.HEADER)
        return found if said is None else replace(found, purpose=purpose.asked(said))

    async def _body(self, receive: Receive) -> bytes:
        headers, largest = self.request.headers, self.door.context.settings.max_body
        await body(receive, headers, largest, self.raw)
        if b"content-encoding" in headers and self.raw:
            self.encoded = True
            if content_encoding.is_encoded(headers[b"content-encoding"]):
                self.raw[:] = await content_encoding.decoded(bytes(self.raw), largest)
            self.encoded = False
        return bytes(self.raw)

    def _asked(self) -> tuple[str | None, str | None]:
        """Return the code of the interaction that is asked for, and the type in its path."""
        code = self.interaction.code if self.interaction else None
        return code, self.found.parameters.get("type") if self.found else None

    def _recorded(self, status: int) -> None:
        code, kind = self._asked()
        place = (kind, self.found.parameters.get("id") if self.found else None)
        is_form = self.interaction is not None and self.interaction.path.endswith("/_search")
        query = audit.criteria(self.request.query, bytes(self.raw) if is_form else b"")
        audit.record(self.door.context, (self.principal, code), place, status, query)


def _type(parameters: Mapping[str, str]) -> str | None:
    """Return the type that is asked for; of a compartment, of which members."""
    named = parameters.get("member", parameters.get("type"))
    return None if named == "*" else named


def _written(request: Request, answer: Answer) -> Answer:
    """Return an answer in the format that was asked for; one that has a media type as it is.

    Raises FhirError 404 for a file that is not there.
    """
    if answer.file is not None and not answer.file.is_file():
        raise FhirError(404, [error("not-found", "The file is not here any more.", "http.url")])
    if answer.media_type is not None or answer.file is not None:
        return answer
    how = negotiate.wanted(request)
    if how == negotiate.PLAIN:
        return answer
    content, kind = negotiate.written(how, answer.content)
    return Answer(content, answer.status, answer.headers, kind)


def _segments(scope: Scope) -> list[str] | None:
    """Return the decoded segments of the path below the base; None where it is not below it.

    One slash at the end is let pass.
    """
    raw = scope.get("raw_path") or b""
    if b"%" in raw:
        parts = [unquote(part) for part in raw.decode("latin-1").split("/")]
    else:
        parts = scope["path"].split("/")
    if parts[1:2] != [BASE[1:]]:
        return None
    return parts[2:-1] if len(parts) > 2 and not parts[-1] else parts[2:]  # noqa: PLR2004
