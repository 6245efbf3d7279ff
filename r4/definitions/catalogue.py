"""Where a canonical url leads: the project's own artefacts, then what an operator loaded, then R4's own.

https://hl7.org/fhir/R4/references.html#canonical
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from r4 import definitions
from r4.canonical import newest, split
from r4.json import Resource


class Stored(Protocol):
    """Resources that an operator has loaded."""

    def find(self, kind: str, url: str, version: str | None, /) -> Resource | None:
        """Return the resource of a kind with a url and version; without one, the newest."""
        ...

    def urls(self, kind: str, /) -> Iterable[str]:
        """List the urls of a kind, each once."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Catalogue:
    """Canonical resources by kind and url. generation: differs whenever what is stored differs."""

    own: Mapping[tuple[str, str], Sequence[Resource]]
    stored: Stored | None = None
    generation: int = 0

    @classmethod
    def of(
        cls, resources: Iterable[Resource], stored: Stored | None = None, generation: int = 0
    ) -> "Catalogue":
        """Hold resources by their url; those without one cannot be referred to and are left out."""
        own: dict[tuple[str, str], list[Resource]] = {}
        for resource in resources:
            if "url" in resource:
                own.setdefault((resource["resourceType"], resource["url"]), []).append(resource)
        return cls(own, stored, generation)

    def find(self, kind: str, canonical: str) -> Resource | None:
        """Return the resource of a kind that a canonical means, or None.

        `url|version` means that version alone; a url means the newest version of the first place that
        has one.
        """
        url, version = split(canonical)
        held = self.own.get((kind, url), ())
        if version is None and held:
            latest = newest(each.get("version", "") for each in held)
            return next(each for each in held if each.get("version", "") == latest)
        for each in held:
            if each.get("version") == version:
                return each
        if self.stored is not None and (found := self.stored.find(kind, url, version)) is not None:
            return found
        standard = definitions.definition(kind, url)
        if standard is None or version not in (None, standard.get("version")):
            return None
        return standard

    def urls(self, kind: str) -> tuple[str, ...]:
        """List the urls of a kind, each once, in order."""
        own = {url for each, url in self.own if each == kind}
        stored = set(self.stored.urls(kind)) if self.stored is not None else set()
        return tuple(sorted(own | stored | set(definitions.urls(kind))))
