"""Whether extensions are known, stand where they may, and are what their definitions say.

https://hl7.org/fhir/R4/extensibility.html, https://hl7.org/fhir/R4/defining-extensions.html
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from profiles.findings import Path, Run, listed
from profiles.items import element_of
from profiles.objects import Handler
from profiles.shelf import Profile, Shelf
from profiles.structure import address, shape
from r4.fhirpath.types import named
from r4.json import Resource

_URL, _MODIFIER = "url", "modifierExtension"
_ANYWHERE = "Element"
"""R4's own extensions and examples read this context as resources too, though these are no Elements."""


def handler(inner: Handler, name: str, shelf: Shelf) -> Handler:
    """Add to what handles an array of extensions the check of each by its definition."""

    def handle(values: Any, parent: Resource, path: Path, run: Run) -> None:
        malformed = run.malformed
        inner(values, parent, path, run)
        if run.malformed == malformed:
            for index, value in enumerate(values):
                _check(value, parent, (path, name, index), run, shelf)

    return handle


def _check(value: Resource, parent: Resource, path: Path, run: Run, shelf: Shelf) -> None:
    url = value.get(_URL)
    if not isinstance(url, str):
        return
    profile = shelf.find(url)
    is_modifier = path[1] == _MODIFIER
    if profile is None:
        if ":" in url or _URL not in parent:  # a relative url is its parent's own
            _unknown(url, is_modifier, path, run, shelf)
        return
    if profile.type != "Extension":
        said = (
            f"{url} is not an extension but a definition of {profile.type}: use an extension's url."
        )
        run.report("error", "extension", said, path, "extension-unknown")
        return
    _place(profile, parent, path, run, shelf)
    shelf.apply(url, value, path, run)


def _unknown(url: str, is_modifier: bool, path: Path, run: Run, shelf: Shelf) -> None:
    if is_modifier:
        said = (
            f"The modifier extension {url} is not known here, and it may change what the rest means:"
            " leave it out, or have its definition loaded."
        )
        run.report("error", "extension", said, path, "modifier-extension-unknown")
    elif shelf.warnings:
        said = f"The extension {url} is not known here, so it was not checked."
        run.report("warning", "extension", said, path, "extension-unknown")


def _place(profile: Profile, parent: Resource, path: Path, run: Run, shelf: Shelf) -> None:
    url = profile.structure["url"]
    if profile.is_modifier is not (path[1] == _MODIFIER):
        right = _MODIFIER if profile.is_modifier else "extension"
        run.report(
            "error", "extension", f"{url} belongs in {right}: move it.", path, "extension-modifier"
        )
    if shelf.warnings and not _may_stand(profile, parent, path, run):
        contexts = listed(dict.fromkeys(e["expression"] for e in profile.contexts))
        said = f"The extension {url} is for {contexts} only: move it, or leave it out."
        run.report("warning", "extension", said, path, "extension-context")


def _may_stand(profile: Profile, parent: Resource, path: Path, run: Run) -> bool:
    if not profile.contexts:
        return True
    resource_type = run.resource.get("resourceType", "")
    steps = tuple(_steps(path[0], run.start))[::-1]
    places = _places(resource_type, steps[1:] if run.start is None else steps)
    for context in profile.contexts:
        kind, expression = context["type"], context["expression"].replace("[x]", "")
        if kind == "fhirpath" or not places or expression in places or expression == _ANYWHERE:
            return True
        if kind == "extension" and parent.get(_URL) == expression.partition("#")[0]:
            return True
    return False


def _steps(path: Path | None, start: Path | None) -> Iterator[str]:
    """Yield the names from an element up to its resource, that one's own left out."""
    while path is not None and path is not start:
        yield path[1]
        path = path[0]


@lru_cache(maxsize=4096)
def _places(resource_type: str, steps: tuple[str, ...]) -> frozenset[str]:
    """List what contexts may call an element: its paths in the types around it, and its types.

    Nothing where the element is not known.
    """
    where, code = address(resource_type), resource_type
    found = {resource_type}
    for step in steps:
        name, _, chosen = step.removesuffix(")").partition(".ofType(")
        element = element_of(where, name)
        if element is None or not (element.types or element.shape):
            return frozenset()
        around = {*found, shape(*where).type, *_ancestors(code)}
        found = {f"{each}.{name}" for each in around}
        code = chosen or (element.types[0].code if element.types else "BackboneElement")
        if element.shape is not None:
            found.add(element.shape[1])
        is_primitive = any(each.code == code and each.is_primitive for each in element.types)
        where = address("Element") if is_primitive else element.shape or address(code)
    return frozenset({*found, code, *_ancestors(code)})


def _ancestors(code: str) -> tuple[str, ...]:
    kind = named(code)
    return () if kind is None else tuple(kind.ancestors)
