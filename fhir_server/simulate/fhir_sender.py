"""A sender's side of FHIR: requests with an idempotency key, so that a resend is harmless.

https://hl7.org/fhir/R4/http.html; X-Request-ID as NHS England's APIs ask for it.
"""

from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

import httpx

from fhir_server.simulate.forms import Form, codings, value_set_urls
from fhir_server.simulate.sending import Answer, Sending
from r4.issue import FhirError, error
from r4.json import Resource, decode

_FHIR_JSON = "application/fhir+json"
_BUSY = (429, 502, 503, 504)
_NOT_FOUND = (404, 410)


class FhirSender:
    """A FHIR client of one base URL."""

    def __init__(self, base: str, client: httpx.AsyncClient) -> None:
        self._base = base
        self._client = client

    async def send(self, sending: Sending) -> Answer:
        """Send one request and return its answer.

        Raises httpx.TransportError when the connection is lost before the answer, ConnectionError
        when the server says that it is busy: the request can be sent again.
        """
        key = str(uuid5(NAMESPACE_URL, f"{sending.hospital}:{sending.path}:{sending.sha256}"))
        response = await self._client.request(
            sending.method,
            f"{self._base}/{quote(sending.path, safe='/?=$&:')}",
            content=sending.body,
            headers={
                "Content-Type": _FHIR_JSON,
                "Accept": _FHIR_JSON,
                "X-Request-ID": key,
                "Idempotency-Key": key,
            },
        )
        if response.status_code in _BUSY:
            raise ConnectionError(f"the server answered {response.status_code}")
        return _answer(response, self._base)

    async def form(self, name: str) -> Form | None:
        """Fetch a Questionnaire by id with its value sets expanded; None where there is none.

        Raises FhirError when the server answers with anything else.
        """
        questionnaire = await self._get(f"Questionnaire/{name}")
        if questionnaire is None:
            return None
        value_sets = {}
        for url in value_set_urls(questionnaire):
            value_sets[url] = codings(await self._value_set(questionnaire, url))
        return Form(questionnaire, value_sets)

    async def _value_set(self, questionnaire: Resource, url: str) -> Resource:
        contained: list[Resource] = questionnaire.get("contained", [])
        for resource in contained:
            if url == f"#{resource['id']}":
                return resource
        return await self._get(f"ValueSet/$expand?url={quote(url, safe='')}") or {}

    async def _get(self, path: str) -> Any:
        response = await self._client.get(f"{self._base}/{path}", headers={"Accept": _FHIR_JSON})
        if response.status_code in _BUSY:
            raise ConnectionError(f"the server answered {response.status_code}")
        if response.status_code in _NOT_FOUND:
            return None
        if not response.is_success:
            text = f"GET {path} was answered with {response.status_code}: {response.text[:300]}"
            raise FhirError(response.status_code, [error("processing", text)])
        return decode(response.content)


def _answer(response: httpx.Response, base: str) -> Answer:
    try:
        body = decode(response.content) if response.content else {}
    except ValueError:
        body = {}
    text = "" if response.is_success else _words(body) or response.text[:300]
    places = (place.removeprefix(f"{base}/") for place in _locations(response, body))
    return Answer(str(response.status_code), tuple(places), text)


def _locations(response: httpx.Response, body: Any) -> list[str]:
    """Return where the server says that it stored things."""
    found = [response.headers["Location"]] if "Location" in response.headers else []
    if isinstance(body, dict) and body.get("resourceType") == "Bundle":
        answers = (entry.get("response", {}) for entry in body.get("entry", []))
        found += [answer["location"] for answer in answers if "location" in answer]
    return found


def _words(body: Any) -> str:
    issues = body.get("issue", []) if isinstance(body, dict) else []
    return "; ".join(issue.get("diagnostics", issue.get("code", "")) for issue in issues)
