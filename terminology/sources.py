"""Where a terminology resource is found, and the code systems that are held here.

The registry's own stand before what an operator has loaded, and that before the standard's own.
"""

from collections.abc import Iterable, Iterator
from typing import Literal

from r4 import definitions
from r4.canonical import split
from r4.definitions.catalogue import Catalogue
from r4.json import Resource
from terminology import supplements
from terminology.concepts import Concepts, index
from terminology.grammars import GRAMMARS
from terminology.loaded import Loaded, LoadedSystem
from terminology.systems import ALIASES, WELL_KNOWN

_RELEASE = "4.0.1"

Absence = Literal["not-loaded", "unknown-system"]


class Sources:
    """Terminology resources by kind and canonical, and code systems by uri.

    What has been indexed is kept as long as this object: a catalogue of another generation has another.
    """

    __slots__ = ("_indexed", "_supplements", "catalogue", "loaded")

    def __init__(self, catalogue: Catalogue, loaded: Loaded | None = None) -> None:
        self.catalogue, self.loaded = catalogue, loaded
        self._indexed: dict[tuple[str, str | None], Concepts] = {}
        self._supplements: dict[str, list[Resource]] | None = None

    @classmethod
    def of(cls, resources: Iterable[Resource]) -> "Sources":
        """Hold resources by their url; those without one cannot be referred to and are left out."""
        return cls(Catalogue.of(resources))

    def find(self, kind: str, url: str) -> Resource | None:
        """Return the resource of a kind that a canonical means, or None.

        `|4.0.1` means what R4 came with, whatever version that states: R4 binds its elements so.
        """
        found = self.catalogue.find(kind, url)
        if found is None and split(url)[1] == _RELEASE:
            return definitions.definition(kind, url)
        return found

    def concepts(self, system: str, version: str | None = None) -> Concepts | None:
        """Return the index of a CodeSystem resource (aliases honoured); None where none is held."""
        key = (canonical(system), version)
        if (indexed := self._indexed.get(key)) is not None:
            return indexed
        resource = self.find("CodeSystem", written(*key))
        if resource is None or not resource.get("concept"):
            return None
        if resource.get("content") == "supplement":
            return None
        return self._indexed.setdefault(key, index(resource, self.supplements(key[0])))

    def system(self, system: str, version: str | None = None) -> LoadedSystem | None:
        """Return a code system: loaded, made by a grammar, or held as a resource; None: none of these.

        Aliases are honoured.
        """
        url = canonical(system)
        if self.loaded is not None and (loaded := self.loaded.system(url, version)) is not None:
            return supplements.supplemented(loaded, self.supplements(url))
        if (grammar := GRAMMARS.get(url)) is not None:
            if version not in (None, grammar.version):
                return None
            return supplements.supplemented(grammar, self.supplements(url))
        return self.concepts(url, version)

    def absence(self, system: str) -> Absence:
        """Tell why a code system is not here: not loaded, or not known at all."""
        url = canonical(system)
        known = url in WELL_KNOWN or self.find("CodeSystem", url) is not None
        return "not-loaded" if known else "unknown-system"

    def supplements(self, system: str) -> list[Resource]:
        """Return the supplements of a code system, those of the standard's own examples left out."""
        if self._supplements is None:
            found: dict[str, list[Resource]] = {}
            for each in self._added():
                if each.get("content") == "supplement" and "supplements" in each:
                    url = canonical(split(each["supplements"])[0])
                    found.setdefault(url, []).append(each)
            self._supplements = found  # whole at once: others may ask while they are read
        return self._supplements.get(system, [])

    def _added(self) -> Iterator[Resource]:
        for (kind, _), versions in self.catalogue.own.items():
            yield from versions if kind == "CodeSystem" else ()
        stored = self.catalogue.stored
        for url in stored.urls("CodeSystem") if stored is not None else ():
            if (resource := self.find("CodeSystem", url)) is not None:
                yield resource


def written(url: str, version: str | None) -> str:
    """Write a canonical."""
    return url if version is None else f"{url}|{version}"


def canonical(system: str) -> str:
    """Return the canonical uri of a code system's uri."""
    return ALIASES.get(system, system)
