"""The registry's profiles as pages that a vendor can read: elements, codes, rules and examples.

https://hl7.org/fhir/R4/profiling.html
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from profiles import own
from profiles.snapshot import snapshot
from profiles.validate import own_structures
from r4 import artefacts
from r4.json import Resource, decode
from terminology import Terminology

_EXAMPLES = Path(__file__).parent / "examples"
_FIXED = ("fixed", "pattern")
_ISSUES = ".issues.json"
_SYSTEM = "http://hl7.org/fhirpath/System."


def pages() -> Iterator[tuple[str, str]]:
    """Yield path below docs/reference/profiles/ and Markdown: first the list of profiles, then each."""
    terminology = Terminology.load()
    structures = own.claimed()
    yield "README.md", _index(structures)
    for structure in structures:
        yield f"{structure['id']}.md", "\n".join(_page(structure, terminology)) + "\n"


def _index(structures: Sequence[Resource]) -> str:
    rows = (
        f"| [{each['title']}]({each['id']}.md) | {each['type']} | {_imposed(each) or 'none'} |"
        for each in structures
    )
    return (
        "# Profiles\n\n"
        "A resource is held to a profile when it claims it in `meta.profile`. What claims none is held to"
        " FHIR R4 alone. Where UK Core is loaded, a profile also holds a resource to the UK Core profile"
        " that it imposes.\n\n"
        "| profile | resource | imposes |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def _page(structure: Resource, terminology: Terminology) -> Iterator[str]:
    yield f"# {structure['title']}\n\n{structure['description']}\n"
    yield f"- Canonical url, to be claimed in `meta.profile`: `{structure['url']}`"
    yield f"- Version {structure['version']}, {structure['status']}"
    yield f"- On FHIR R4 {structure['type']}; imposes: {_imposed(structure) or 'nothing'}\n"
    elements = list(_constrained(structure))
    yield "## Elements\n"
    yield (
        "Elements that are not listed are as FHIR R4 has them. `*`: the registry reads it; send it"
        " where you hold it.\n"
    )
    yield "| element | how often | type | what it means |\n|---|---|---|---|"
    yield from (_row(element) for element in elements)
    yield from _rules(structure)
    yield from _codes(elements, terminology)
    yield from examples(structure["id"])


def _imposed(structure: Resource) -> str:
    return ", ".join(f"`{canonical}`" for canonical in own.imposed(structure))


def _constrained(structure: Resource) -> Iterator[Resource]:
    """Yield the elements that the profile speaks of, with the cardinality and type they end up with."""
    catalogue = own_structures()
    whole = snapshot(structure, lambda url: catalogue.find("StructureDefinition", url))
    by_id = {element["id"]: element for element in whole["snapshot"]["element"]}
    for said in structure["differential"]["element"][1:]:
        if said.keys() - {"id", "path", "slicing"}:
            yield {**by_id[said["id"]], **said}


def _row(element: Resource) -> str:
    name = element["id"].partition(".")[2]
    star = " *" if element.get("mustSupport") else ""
    often = f"{element.get('min', 0)}..{element.get('max', '*')}"
    said = " ".join(_cell(sentence) for sentence in _meaning(element))
    return f"| `{name}`{star} | {often} | {', '.join(_types(element))} | {said} |"


def _types(element: Resource) -> Iterator[str]:
    for each in element.get("type", ()):
        leads = (*each.get("profile", ()), *each.get("targetProfile", ()))
        named = f" ({', '.join(lead.rpartition('/')[2] for lead in leads)})" if leads else ""
        code: str = each["code"]
        yield (code.removeprefix(_SYSTEM).lower() if code.startswith(_SYSTEM) else code) + named


def _meaning(element: Resource) -> Iterator[str]:
    if "short" in element:
        yield f"{element['short']}."
    if "definition" in element:
        yield element["definition"]
    for name, value in element.items():
        if name.startswith(_FIXED):
            yield f"Always `{_value(value)}`."
    for value in _own_values(element):
        types = ", ".join(_types(value))
        yield f"Its url is `{element['type'][0]['profile'][0]}`, its value a {types}."
    for binding in _bindings(element):
        name = binding["valueSet"].partition("|")[0].rpartition("/")[2]
        yield f"Codes ({binding['strength']}): `{name}`."
    for rule in element.get("constraint", ()):
        if rule["key"].startswith(own.CLAIMED):
            yield f"Rule `{rule['key']}`."


def _bindings(element: Resource) -> Iterator[Resource]:
    """Yield the bindings of an element, or of the value of the registry's extension that it is."""
    for each in (element, *_own_values(element)):
        if "valueSet" in each.get("binding", {}):
            yield each["binding"]


def _own_values(element: Resource) -> Iterator[Resource]:
    """Yield the value of each of the registry's extensions that an element is."""
    known = artefacts.by_url("profiles", "StructureDefinition")
    for each in element.get("type", ()):
        for url in known.keys() & set(each.get("profile", ())):
            listed = known[url]["differential"]["element"]
            yield from (found for found in listed if found["id"] == "Extension.value[x]")


def _value(value: Any) -> str:
    if isinstance(value, dict):
        parts = (_value(each) for each in value.values())
        return " ".join(parts)
    return " ".join(_value(each) for each in value) if isinstance(value, list) else str(value)


def _rules(structure: Resource) -> Iterator[str]:
    rules = [
        rule
        for element in structure["differential"]["element"]
        for rule in element.get("constraint", ())
    ]
    if rules:
        yield "\n## Rules\n\n| rule | severity | what to do | FHIRPath |\n|---|---|---|---|"
    for rule in rules:
        human, expression = _cell(rule["human"]), _cell(rule["expression"])
        yield f"| `{rule['key']}` | {rule['severity']} | {human} | `{expression}` |"


def _codes(elements: list[Resource], terminology: Terminology) -> Iterator[str]:
    sets = artefacts.by_url("terminology", "ValueSet")
    bound = {binding["valueSet"] for element in elements for binding in _bindings(element)}
    for url in sorted(bound & sets.keys()):
        value_set = sets[url]
        yield f"\n## Codes: {value_set['id']}\n\n{value_set['description']} Value set: `{url}`.\n"
        yield "| system | code | meaning |\n|---|---|---|"
        for coding in terminology.expand(url):
            yield f"| `{coding['system']}` | `{coding['code']}` | {_cell(_said_of(coding))} |"


def _said_of(coding: Resource) -> str:
    """Return what a code means: its display, and the definition where the system is the registry's."""
    display = str(coding.get("display", ""))
    system = artefacts.by_url("terminology", "CodeSystem").get(coding["system"], {})
    for concept in system.get("concept", ()):
        if concept["code"] == coding["code"] and "definition" in concept:
            return f"{display}. {concept['definition']}"
    return display


def examples(name: str, mark: str = "##") -> Iterator[str]:
    """Yield the examples of a definition, right and wrong, under headings that begin with a mark."""
    yield f"\n{mark} Examples\n"
    for path in sorted((_EXAMPLES / name / "valid").glob("*.json")):
        yield f"{mark}# {_heading(path)}\n\n{_block(path)}"
    yield f"\n{mark} Counterexamples, and what `$validate` says of them\n"
    for path in sorted((_EXAMPLES / name / "invalid").glob("*.json")):
        if not path.name.endswith(_ISSUES):
            yield f"{mark}# {_heading(path)}\n"
            for issue in decode(path.with_suffix(_ISSUES).read_bytes()):
                at = f"`{issue['expression']}`"
                yield f"- {issue['severity']} (`{issue['rule']}`) at {at}: {issue['diagnostics']}"
            yield f"\n{_block(path)}"


def _heading(path: Path) -> str:
    return path.stem.replace("-", " ").capitalize()


def _block(path: Path) -> str:
    return f"```json\n{path.read_text(encoding='utf-8').rstrip()}\n```\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
