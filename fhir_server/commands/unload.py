"""`unload`: remove a package or a release of a code system that was loaded, and say who needs it.

Nothing is refused because others need it: whoever loaded the wrong thing must be able to undo that.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from fhir_server.app import alone
from fhir_server.context import PACKAGES, Context, carried
from fhir_server.interactions.entries import Entry
from fhir_server.interactions.transaction import execute
from fhir_server.settings import Settings
from fhir_server.store import packages
from fhir_server.store import read as store
from fhir_server.store.concepts import loading
from fhir_server.store.packages import Loaded
from r4.canonical import split
from r4.issue import FhirError
from r4.json import Resource, decode

CHUNK = 200
"""Copies that are deleted together."""


def unload(settings: Settings, names: Sequence[str] = ()) -> int:
    """Remove packages (`name#version`) and releases (`url|version`); without any, list what is loaded.

    Returns the exit status. Raises ValueError for what is not loaded.
    """
    if not names:
        lines = asyncio.run(alone(settings, _listed))
    else:
        lines = asyncio.run(alone(settings, partial(_unloaded, names=names)))
    for line in lines:
        print(line)
    return 0


async def _listed(made: Context) -> list[str]:
    lines = [each.removesuffix("#") for each in packages.packages(made.database)]
    for url, version, state, concepts in loading.releases(made.database):
        said = {"current": "in use", "ready": "not in use"}.get(state, "not loaded to its end")
        lines.append(f"{url}|{version}: {concepts} concepts, {said}")
    return lines or ["nothing is loaded"]


async def _unloaded(made: Context, names: Sequence[str]) -> list[str]:
    """Remove one after another; returns what to say."""
    lines = []
    for name in names:
        lines += await (_release(made, name) if "|" in name else _package(made, name))
    return lines


async def _release(made: Context, name: str) -> list[str]:
    url, _, version = name.partition("|")
    in_use = await loading.unload(made.database, url, version, lambda _: None)
    lines = [f"{name} is removed"]
    if in_use is not None:
        return [*lines, f"  in use: {url}|{in_use}"]
    needed = _needing(made, {url})
    return [*lines, "  no release of this code system is in use now", *needed]


async def _package(made: Context, name: str) -> list[str]:
    package = name if "#" in name else f"{name}#"
    removed = list(packages.definitions(made.database, package))
    if not removed:
        known = ", ".join(each.removesuffix("#") for each in packages.packages(made.database))
        raise ValueError(f"{name} is not loaded; loaded: {known or 'nothing'}")
    await packages.remove(made.database, package)
    made.knowledge.renew()
    stays = await _copies_deleted(made, removed)
    find = made.knowledge.catalogue.find
    gone = {each.url for each in removed if find(each.kind, each.url) is None}
    return [f"{name}: {len(removed)} definitions are removed", *stays, *_needing(made, gone)]


async def _copies_deleted(made: Context, removed: Sequence[Loaded]) -> list[str]:
    """Delete the copies for users that are still of these definitions; returns which stay, and why."""
    entries = [
        Entry("DELETE", each.kind, resource_id)
        for each in removed
        if (resource_id := _copy(made, each)) is not None
    ]
    stays = []
    for start in range(0, len(entries), CHUNK):
        together = entries[start : start + CHUNK]
        try:
            await execute(made, together)
        except FhirError:  # something refers to one of them
            for entry in together:
                try:
                    await execute(made, [entry])
                except FhirError as refusal:
                    stays.append(f"  the copy {entry.type}/{entry.id} stays: {refusal}")
    return stays


def _copy(made: Context, removed: Loaded) -> str | None:
    """Return the id of the copy for users of a definition; None where there is none, or another."""
    resource_id: str = decode(removed.body)["id"]
    current = store.current(made.database, removed.kind, resource_id)
    if current is None or current.deleted:
        return None
    there: Resource = decode(current.body)
    named = there.get("url", f"{removed.kind}/{resource_id}"), there.get("version", "")
    return resource_id if named == (removed.url, removed.version) else None


def _needing(made: Context, gone: set[str]) -> list[str]:
    """Say which definitions and settings name what is not there any more."""
    lines = []
    for where, resource in _definitions(made):
        named = sorted({url for text in _texts(resource) if (url := split(text)[0]) in gone})
        if named:
            kind = resource["resourceType"]
            what = resource.get("url", resource.get("id", ""))
            lines.append(f"  needed by {kind} {what} ({where}): {', '.join(named)}")
    for kind, urls in made.settings.default_profiles.items():
        lines += [
            f"  needed by CSOR_DEFAULT_PROFILES, for {kind}: {url}"
            for url in urls
            if split(url)[0] in gone
        ]
    return lines


def _definitions(made: Context) -> Iterator[tuple[str, Resource]]:
    for package in PACKAGES:
        yield from (("this release", each) for each in carried(package))
    for each in packages.definitions(made.database):
        yield each.package.removesuffix("#"), decode(each.body)


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
