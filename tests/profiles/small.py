"""Small profiles, written as differentials, and a validation that knows them and R4."""

from typing import Any

from profiles.validate import Options, validate
from r4.definitions import CORE
from r4.definitions.catalogue import Catalogue
from r4.issue import Issue
from r4.json import Resource
from terminology import Terminology

TERMINOLOGY = Terminology.load()
HERE = "https://e.org/StructureDefinition"


def profile(name: str, type_: str, *elements: Resource, **more: Any) -> Resource:
    """Return a profile on a type; elements are those of its differential, `id` and `path` filled in."""
    listed = [{"path": type_, "id": type_}, *elements] if _needs_root(elements, type_) else elements
    return {
        "resourceType": "StructureDefinition",
        "url": f"{HERE}/{name}",
        "version": "1.0.0",
        "name": name,
        "status": "active",
        "fhirVersion": "4.0.1",
        "kind": "resource",
        "abstract": False,
        "type": type_,
        "baseDefinition": CORE + type_,
        "derivation": "constraint",
        "differential": {"element": [_placed(each) for each in listed]},
        **more,
    }


def element(identity: str, **more: Any) -> Resource:
    """Return an element by its id, from which its path and its slice's name follow."""
    return {"id": identity, **more}


def check(resource: Resource, *profiles: Resource, asked: bool = True, **more: Any) -> list[Issue]:
    """Validate a resource against profiles; the first is asked for, the others are known."""
    structures = Catalogue.of(profiles)
    urls = (profiles[0]["url"],) if asked else ()
    now = more.pop("now", None)
    options = Options(profiles=urls, structures=structures, **more)
    return validate(resource, TERMINOLOGY, now=now, options=options)


def brief(issues: list[Issue]) -> list[tuple[str | None, str | None]]:
    """Return the rule and the place of each issue."""
    return [(issue.rule, issue.expression) for issue in issues]


def observation(**elements: Any) -> Resource:
    return {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, **elements}


def patient(**elements: Any) -> Resource:
    return {"resourceType": "Patient", **elements}


def _needs_root(elements: tuple[Resource, ...], type_: str) -> bool:
    return not elements or elements[0]["id"] != type_


def _placed(element: Resource) -> Resource:
    segments = element["id"].split(".")
    path = ".".join(segment.partition(":")[0] for segment in segments)
    _, _, slice_name = segments[-1].partition(":")
    named = {"sliceName": slice_name} if slice_name else {}
    return {"path": path, **named, **element}
