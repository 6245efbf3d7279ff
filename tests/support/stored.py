"""The artefacts' examples as a server stores them: with ids, and references to those ids."""

from functools import cache
from pathlib import Path
from typing import Any

from r4 import reference
from r4.json import Resource, decode

ROOT = Path(__file__).parents[2]
_BUNDLES = ("mappings/*/examples/*.bundle.json", "outcome_engine/examples/*/*.bundle.json")
_RESOURCES = ("profiles/examples/*/valid/*.json", "questionnaires/examples/*/*.extract.json")
_URN = "urn:uuid:"


@cache
def stored_examples() -> tuple[Resource, ...]:
    """List the resources of the examples of messages, notes, profiles and outcomes."""
    found: list[Resource] = []
    for pattern in _BUNDLES:
        for path in sorted(ROOT.glob(pattern)):
            found += stored(decode(path.read_bytes()))
    for pattern in _RESOURCES:
        for path in sorted(ROOT.glob(pattern)):
            resource = decode(path.read_bytes())
            if resource.get("resourceType") == "Bundle":
                found += stored(resource)
            elif "resourceType" in resource:
                found.append({"id": "example", **resource})
    return tuple(found)


def stored(bundle: Resource) -> list[Resource]:
    """List the resources of a transaction as they would be stored."""
    ids: dict[str, str] = {}
    for number, entry in enumerate(bundle["entry"]):
        resource = entry["resource"]
        url = entry.get("fullUrl", f"{_URN}{number}")
        ids[url] = f"{resource['resourceType']}/{_id(resource, url)}"

    def known(text: str) -> str:
        kind, _, query = text.partition("?")
        return ids.get(text) or (f"{kind}/known" if query else text)

    return [
        _stored(entry["resource"], key, known)
        for entry, key in zip(bundle["entry"], ids, strict=True)
    ]


def _stored(resource: Resource, url: str, known: Any) -> Resource:
    return {"id": _id(resource, url), **reference.rewrite(resource, known)}


def _id(resource: Resource, url: str) -> str:
    return str(resource.get("id") or url.removeprefix(_URN).rpartition("/")[2])
