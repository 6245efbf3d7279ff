"""The registry's extensions, operations and identifier systems as pages that a vendor can read.

https://hl7.org/fhir/R4/conformance-module.html
"""

from collections.abc import Iterator

from profiles import own, page
from r4 import artefacts
from r4.json import Resource
from terminology.systems import local

_ROWS = "| name | how often | type | what it means |\n|---|---|---|---|"
_LEVELS = (
    ("system", "`[base]/${code}`"),
    ("type", "`[base]/{type}/${code}`"),
    ("instance", "`[base]/{type}/[id]/${code}`"),
)


def pages() -> Iterator[tuple[str, str]]:
    """Yield name and Markdown of each page."""
    yield "extensions.md", "\n".join(_extensions()) + "\n"
    yield "operations.md", "\n".join(_operations()) + "\n"
    yield "naming-systems.md", "\n".join(_systems()) + "\n"


def _extensions() -> Iterator[str]:
    yield "# Extensions\n"
    yield (
        "The extensions that the registry defines. Those of UK Core and HL7 that it reads stand on the"
        " pages of the [profiles](profiles/README.md).\n"
    )
    for structure in artefacts.by_url("profiles", "StructureDefinition").values():
        if not structure["id"].startswith(own.CLAIMED):
            yield from _extension(structure)


def _extension(structure: Resource) -> Iterator[str]:
    elements = structure["differential"]["element"]
    modifier = ", a modifier extension" if elements[0].get("isModifier") else ""
    contexts = ", ".join(f"`{each['expression']}`" for each in structure["context"])
    yield f"## {structure['title']}\n\n{structure['description']}\n"
    yield f"- Canonical url: `{structure['url']}`"
    yield f"- Version {structure['version']}, {structure['status']}{modifier}"
    yield f"- On {contexts}\n"
    yield _ROWS
    for element in elements:
        if element["path"].endswith(".value[x]") and element.get("max") != "0":
            yield _value(element, {each["id"]: each for each in elements})
    yield from page.examples(structure["id"], "###")


def _value(value: Resource, by_id: dict[str, Resource]) -> str:
    """Write the row of an extension's value, or of that of an extension inside it."""
    holder = by_id[value["id"].removesuffix(".value[x]")]
    often, said = f"{value.get('min', 0)}..1", [value.get("short")]
    if "sliceName" in holder:
        often = f"{holder.get('min', 0)}..{holder.get('max', '*')}"
        said.insert(0, holder.get("short"))
    sentences = [f"{text}." for text in dict.fromkeys(said) if text]
    if "valueSet" in value.get("binding", {}):
        binding = value["binding"]
        sentences.append(f"Codes ({binding['strength']}): `{binding['valueSet']}`.")
    types = ", ".join(each["code"] for each in value.get("type", ()))
    name = holder.get("sliceName", "value")
    return f"| `{name}` | {often} | {types} | {_cell(' '.join(sentences))} |"


def _operations() -> Iterator[str]:
    yield "# Operations\n"
    yield (
        "The operations that the registry defines: its own, and those of HL7 of which it serves less"
        " or something else. What it serves as HL7 defines it stands in the CapabilityStatement with"
        " HL7's canonical url ([interactions](interactions.md)).\n"
    )
    for definition in artefacts.by_url("profiles", "OperationDefinition").values():
        yield f"## {definition['title']}\n\n{definition['description']}\n"
        yield f"- Canonical url: `{definition['url']}`"
        yield f"- Version {definition['version']}, {definition['status']}"
        if "base" in definition:
            yield f"- Constrains `{definition['base']}`"
        yield f"- {_asked(definition)}\n"
        for use, head in (("in", "Parameters"), ("out", "Answer")):
            rows = [p for p in definition["parameter"] if p["use"] == use]
            if rows:
                yield f"{head}:\n\n{_ROWS}"
                for each in rows:
                    yield from _parameter(each, "")
                yield ""


def _asked(definition: Resource) -> str:
    kind = definition.get("resource", [""])[0]
    levels = (
        text.format(type=kind, code=definition["code"])
        for level, text in _LEVELS
        if definition[level]
    )
    changes = "changes what is stored" if definition["affectsState"] else "changes nothing"
    return f"{', '.join(levels)}; it {changes}"


def _parameter(parameter: Resource, above: str) -> Iterator[str]:
    name = above + parameter["name"]
    often = f"{parameter['min']}..{parameter['max']}"
    said = _cell(parameter["documentation"])
    yield f"| `{name}` | {often} | {parameter.get('type', 'parts')} | {said} |"
    for part in parameter.get("part", ()):
        yield from _parameter(part, f"{name}.")


def _systems() -> Iterator[str]:
    yield "# Identifier systems\n"
    yield (
        "The systems of identifiers that the registry gives out, as NamingSystems. Those of the NHS"
        " (NHS number, CHI number, ODS code, GMC number) stand on the pages of the"
        " [profiles](profiles/README.md).\n"
    )
    yield "| system | name | what it identifies | for example |\n|---|---|---|---|"
    for each in artefacts.load("terminology"):
        if each["resourceType"] == "NamingSystem":
            uris = ", ".join(f"`{i['value']}`" for i in each["uniqueId"])
            example = _cell(each.get("usage", ""))
            yield f"| {uris} | {each['name']} | {_cell(each['description'])} | {example} |"
    yield (
        "\nThe numbers that a hospital gives out stand under a system of its own:"
        f" `{local('[ODS code]', '[kind]')}`, with its ODS code and what is numbered (`mrn`, `visit`,"
        " `procedure`, `diagnosis`, `observation`)."
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
