"""Where a terminology resource is found: among the registry's, then the standard's own."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

from r4 import definitions
from r4.json import Resource
from terminology.concepts import Concepts, index
from terminology.systems import ALIASES


@dataclass(frozen=True, slots=True)
class Sources:
    """Terminology resources by kind and url; the registry's stand before the standard's."""

    own: dict[tuple[str, str], Resource]
    _indexed: dict[str, Concepts] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, resources: Iterable[Resource]) -> "Sources":
        """Hold resources by their url; those without one cannot be referred to and are left out."""
        return cls({(r["resourceType"], r["url"]): r for r in resources if "url" in r})

    def find(self, kind: str, url: str) -> Resource | None:
        """Return the resource of a kind with a canonical url (a `|version` is ignored), or None."""
        plain = url.partition("|")[0]
        if (own := self.own.get((kind, plain))) is not None:
            return own
        # The definitions remember every answer: only what they hold is asked for, not what users send.
        return definitions.definition(kind, plain) if plain in _standard(kind) else None

    def concepts(self, system: str) -> Concepts | None:
        """Return the index of a code system (aliases honoured); None where it is not held here."""
        if (indexed := self._indexed.get(system)) is not None:
            return indexed
        resource = self.find("CodeSystem", canonical(system))
        if resource is None or not resource.get("concept"):
            return None
        return self._indexed.setdefault(system, index(resource))


@cache
def _standard(kind: str) -> frozenset[str]:
    return frozenset(definitions.urls(kind))


def canonical(system: str) -> str:
    """Return the canonical uri of a code system's uri."""
    return ALIASES.get(system, system)
