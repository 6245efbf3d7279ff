"""A child's chart as an EPR's FHIR server shows it to a launch: what a note is prefilled from.

Only the child, the user and the stay must be there; what the EPR does not give is left for the surgeon
to fill in. Observations are asked for by the codes that the registry's forms prefill from, and no others.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from fhir_server.access.asking import Ask
from fhir_server.access.launch import Grant
from r4.issue import FhirError, error
from r4.json import Resource
from r4.reference import literal, rewrite

logger = logging.getLogger("csor.launch")

LINK_PERIOD = (
    "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-observationLinkPeriod"
)
"""Says of a form's item that its first answer is the newest Observation with its code."""
_MOST = "100"
_UNTRUE = frozenset({"entered-in-error", "refuted"})


class Chart(NamedTuple):
    """The child, the user (a Practitioner), the stay if there is one, and what else was read."""

    patient: Resource
    user: Resource
    encounter: Resource | None
    others: list[Resource]


async def read(grant: Grant, ask: Ask, forms: Iterable[Resource]) -> Chart:
    """Return the chart of a launch's child; raises FhirError 502 where child or user cannot be read."""
    look = _Look(grant, ask)
    patient, user, encounter = await asyncio.gather(
        look.at(f"Patient/{grant.patient}"), look.user(), look.encounter()
    )
    found = await asyncio.gather(
        look.orders(), look.listed("Condition"), look.listed("Procedure"), look.observations(forms)
    )
    return Chart(patient, user, encounter, [one for each in found for one in each])


def codes(forms: Iterable[Resource]) -> list[str]:
    """List the codes, as `system|code`, of the Observations that forms prefill answers from."""
    found: dict[str, None] = {}
    for form in forms:
        for item in _items(form):
            if any(each.get("url") == LINK_PERIOD for each in item.get("extension", ())):
                for coding in item.get("code", ()):
                    found[f"{coding.get('system', '')}|{coding.get('code', '')}"] = None
    return list(found)


def _items(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for item in node.get("item", ()):
        yield item
        yield from _items(item)


def local(resource: Resource, here: Mapping[str, str], issuer: str) -> Resource:
    """Return a resource of an EPR as the registry's pages use it.

    here: the local references of what is known here, by the EPR's. Others keep the EPR's relative
    reference; narrative and meta, which say nothing that a form asks for, are left out.
    """
    gone = ("text", "meta", "link") if resource["resourceType"] == "Patient" else ("text", "meta")
    kept = {name: value for name, value in resource.items() if name not in gone}

    def meant(reference: str) -> str:
        short = reference.removeprefix(f"{issuer}/")
        return here.get(short, short)

    made: Resource = rewrite(kept, meant)
    place = here.get(f"{resource['resourceType']}/{resource['id']}")
    return {**made, "id": place.partition("/")[2]} if place else made


class _Look(NamedTuple):
    """Reads with a grant's token."""

    grant: Grant
    ask: Ask

    async def at(self, place: str) -> Resource:
        """Return the resource at a place; raises FhirError 502 where it is not that."""
        url = f"{self.grant.epr.issuer}/{place}"
        found = dict(await self.ask(url, token=self.grant.access))
        kind, _, key = place.partition("/")
        if found.get("resourceType") != kind or found.get("id") != key:
            text = f"The hospital's system does not show the {kind} that the launch names."
            raise FhirError(502, [error("processing", text)])
        return found

    async def user(self) -> Resource:
        """Return the Practitioner who launched, whose role may be what the launch names."""
        place = self.grant.user
        found = await self.at(f"{place.type}/{place.id}")
        if place.type == "Practitioner":
            return found
        named = str(found.get("practitioner", {}).get("reference", ""))
        who = literal(named.removeprefix(f"{self.grant.epr.issuer}/"))
        if who is None or who.base or who.type != "Practitioner":
            text = "The hospital's system does not say which practitioner opened the note."
            raise FhirError(502, [error("processing", text)])
        return await self.at(f"Practitioner/{who.id}")

    async def encounter(self) -> Resource | None:
        if self.grant.encounter is None:
            return None
        try:
            found = await self.at(f"Encounter/{self.grant.encounter}")
        except FhirError:
            logger.info("epr %s did not show the stay", self.grant.epr.name)
            return None
        return found if self._is_the_childs(found) else None

    async def orders(self) -> list[Resource]:
        """Return the orders that the launch names, or else those that are under way."""
        named = []
        for each in self.grant.context:
            place = literal(
                str(each.get("reference", "")).removeprefix(f"{self.grant.epr.issuer}/")
            )
            if place is not None and place.type == "ServiceRequest" and not place.base:
                named.append(f"ServiceRequest/{place.id}")
        if not named:
            return await self.listed("ServiceRequest", status="active")
        try:
            found = [await self.at(place) for place in named]
        except FhirError:
            logger.info("epr %s did not show the order", self.grant.epr.name)
            return []
        return [each for each in found if self._is_the_childs(each)]

    async def observations(self, forms: Iterable[Resource]) -> list[Resource]:
        asked = codes(forms)
        return await self.listed("Observation", code=",".join(asked)) if asked else []

    async def listed(self, kind: str, **criteria: str) -> list[Resource]:
        """Return the child's resources of a type, the newest page; [] where the EPR shows none."""
        query = {"patient": self.grant.patient, "_count": _MOST, **criteria}
        try:
            found = await self.ask(
                f"{self.grant.epr.issuer}/{kind}", query=query, token=self.grant.access
            )
        except FhirError:
            logger.info("epr %s did not show any %s", self.grant.epr.name, kind)
            return []
        entries = found.get("entry")
        listed = [e.get("resource") for e in entries] if isinstance(entries, list) else []
        return [
            each
            for each in listed
            if isinstance(each, dict)
            and each.get("resourceType") == kind
            and isinstance(each.get("id"), str)
            and self._is_the_childs(each)
            and not _is_untrue(each)
        ]

    def _is_the_childs(self, resource: Resource) -> bool:
        subject = resource.get("subject")
        named = str(subject.get("reference")) if isinstance(subject, dict) else ""
        return named.removeprefix(f"{self.grant.epr.issuer}/") == f"Patient/{self.grant.patient}"


def _is_untrue(resource: Resource) -> bool:
    """Tell whether the EPR itself says that a resource is a mistake."""
    verified = resource.get("verificationStatus")
    codings = verified.get("coding", ()) if isinstance(verified, dict) else ()
    said = {resource.get("status"), *(coding.get("code") for coding in codings)}
    return not said.isdisjoint(_UNTRUE)
