"""How our forms write templates, so that every engine of SDC 4.0 makes the same of them.

The reference library leaves out constants below a context, keeps those of half-empty objects, and does
not know templateExtractBundle (test_extraction_differential, docs/spec-decisions.md).
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from questionnaires import forms
from questionnaires.templates import CONTEXT, VALUE
from r4.json import Resource

SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
BUNDLED = tomllib.loads(
    (Path(__file__).parent / "extraction_differences.toml").read_text(encoding="utf-8")
)["form"]
FORMS = [
    pytest.param(form, id=form["id"]) for form in forms().values() if form["id"] not in BUNDLED
]


def has(element: Any, url: str) -> bool:
    """Tell whether an extension with a url stands on an element."""
    return any(held.get("url") == url for held in (element or {}).get("extension", ()))


def objects(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects inside a template's element, extensions left out, each with its path."""
    for key, value in node.items():
        if key.startswith("_") or key == "extension":
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                yield f"{path}.{key}", each
                yield from objects(each, f"{path}.{key}")


def constants(node: dict[str, Any]) -> list[str]:
    """Return the values of an object that no expression replaces."""
    return [
        key
        for key, value in node.items()
        if not key.startswith("_")
        and not isinstance(value, dict | list)
        and not has(node.get(f"_{key}"), VALUE)
    ]


def is_computed(node: dict[str, Any]) -> bool:
    """Tell whether an object has a value that may not be there; `a & 'b'` and a constant always are."""
    return any(
        held["url"] == VALUE and "'" not in (held["valueString"][0], held["valueString"][-1])
        for key, value in node.items()
        if key.startswith("_") and isinstance(value, dict)
        for held in value.get("extension", ())
    )


def templates(form: Resource) -> Iterator[tuple[dict[str, Any], bool]]:
    """Yield each template of a form, and whether it is filled only where its question is answered."""
    answered = {
        part["valueReference"]["reference"]
        for item in items(form)
        if item["type"] != "group"
        for held in item.get("extension", ())
        if held["url"] == SDC + "templateExtract"
        for part in held["extension"]
        if part["url"] == "template"
    }
    for template in form.get("contained", ()):
        if template["resourceType"] not in ("ValueSet", "CodeSystem"):
            yield template, f"#{template['id']}" in answered or has(template, CONTEXT)


def items(container: Resource) -> Iterator[dict[str, Any]]:
    for item in container.get("item", ()):
        yield item
        yield from items(item)


@pytest.mark.parametrize("form", FORMS)
def test_below_a_context_every_value_has_an_expression_constants_included(form: Resource) -> None:
    bare = [
        (path, constants(inner))
        for template, _ in templates(form)
        for above, element in objects(template, template["id"])
        if has(element, CONTEXT)
        for path, inner in [(above, element), *objects(element, above)]
        if constants(inner)
    ]
    assert bare == [], "write each constant as a templateExtractValue of its own: `'code'`"


@pytest.mark.parametrize("form", FORMS)
def test_an_object_that_an_answer_may_leave_half_empty_has_a_context(form: Resource) -> None:
    half_empty = []
    for template, is_answered in templates(form):
        inside = {id(inner) for _, element in objects(template, "") if has(element, CONTEXT)
                  for inner in (element, *(each for _, each in objects(element, "")))}  # fmt: skip
        half_empty += [
            path
            for path, element in objects(template, template["id"])
            if not is_answered and id(element) not in inside
            if constants(element) and is_computed(element)
        ]
    assert half_empty == [], "put a templateExtractContext on the outermost element that must go"


def test_a_constant_in_quotes_is_one_fhirpath_string() -> None:
    texts = [
        held["valueString"]
        for form in forms().values()
        for template, _ in templates(form)
        for _, element in [("", template), *objects(template, "")]
        for key, value in element.items()
        if key.startswith("_") and isinstance(value, dict)
        for held in value.get("extension", ())
        if held["url"] == VALUE
    ]
    quoted = [text for text in texts if text.startswith("'") and text.endswith("'")]
    assert len(quoted) > 100
    for text in quoted:
        assert "'" not in text[1:-1].replace("\\'", "").split("' & ")[0], text


def test_no_other_form_uses_a_template_of_a_whole_bundle() -> None:
    used = {
        form["id"]
        for form in forms().values()
        if any(held["url"] == SDC + "templateExtractBundle" for held in form.get("extension", ()))
    }
    assert used <= BUNDLED.keys()
