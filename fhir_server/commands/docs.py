"""`docs`: write docs/reference from the code, or check that what is committed is what would be written."""

from collections.abc import Iterator
from pathlib import Path

from fhir_server.access.scopes import NEEDS
from fhir_server.context import carried
from fhir_server.interactions.capabilities import OPERATIONS
from fhir_server.interactions.topics import TOPICS
from fhir_server.rest.routes import TABLE
from fhir_server.settings import Settings
from fhir_server.store.search.criteria import MODIFIERS
from fhir_server.store.search.parameters import parameters
from outcome_engine.views import page as views
from profiles import conformance, page
from r4 import artefacts, definitions
from r4.json import Resource

FOLDER = Path("docs/reference")
_NOTE = "<!-- Written by `python -m fhir_server docs`; change the code, not this page. -->\n\n"


def docs(*, check: bool) -> int:
    """Write every page, or with `check` name those that are out of date (exit status 1)."""
    stale = []
    for name, text in pages():
        file = FOLDER / name
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
    if check and stale:
        print(f"out of date: {', '.join(stale)}; run `python -m fhir_server docs`")
        return 1
    print(f"docs/reference: {len(stale)} written" if not check else "docs/reference: current")
    return 0


def pages() -> Iterator[tuple[str, str]]:
    """Yield the name and text of each page."""
    yield "settings.md", _NOTE + _settings()
    yield "interactions.md", _NOTE + _interactions()
    yield "search.md", _NOTE + _search()
    yield "artefacts.md", _NOTE + _artefacts()
    yield "topics.md", _NOTE + _topics()
    yield "views.md", _NOTE + views.page()
    for name, text in conformance.pages():
        yield name, _NOTE + text
    for name, text in page.pages():
        yield f"profiles/{name}", _NOTE + text


def _settings() -> str:
    rows = (
        f"| `CSOR_{name.upper()}` | `{field.get_default(call_default_factory=True)}` | {field.description} |"
        for name, field in Settings.model_fields.items()
    )
    return (
        "# Settings\n\n| variable | default | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def _interactions() -> str:
    rows = (
        f"| {row.method} | `/fhir{row.path}` | {row.code} | {_needed(row.code)} |" for row in TABLE
    )
    table = "| method | path | interaction | scopes |\n|---|---|---|---|\n" + "\n".join(rows)
    operations = (
        f"- `{kind or 'every type'}` `${name}`: {definition}"
        for kind, named in OPERATIONS.items()
        for name, definition in named.items()
    )
    return f"# Interactions\n\n{table}\n\n## Operations\n\n" + "\n".join(operations) + "\n"


def _needed(code: str) -> str:
    """Write the scopes that an interaction needs; `Type` is that of the path."""
    return " ".join(f"`system/{kind or 'Type'}.{letters}`" for letters, kind in NEEDS[code])


def _search() -> str:
    lines = [
        "# Search parameters\n",
        "On every type: `_id`, `_lastUpdated`, `_list`, `_text`, `_content`, `_has`, `_filter`; chains "
        "(`subject:Patient.name`), also inside `_has`. Result parameters: `_count`, `_sort` (any "
        "parameter, several keys), `_summary`, `_elements`, `_total`, `_include` and `_revinclude` with "
        "`:iterate` and `*`; `_type` where every type is searched. Pages are a snapshot: what is "
        "written meanwhile changes none of them.\n",
        "| type | modifiers |\n|---|---|\n" + _modifiers() + "\n",
        "A reference takes a target type as a modifier too, and `:above` and `:below` where it holds "
        "canonical urls or its targets have parts (`Location.partOf`). An unknown parameter is a 400, "
        "or with `Prefer: handling=lenient` left out; anything else that is not here is a 400.\n",
    ]
    lines += ["## The registry's own\n", *_own_parameters(), "\n## All, by resource type\n"]
    for kind in definitions.resource_types():
        listed = ", ".join(f"`{p.code}` ({p.type})" for p in parameters(kind).values())
        lines.append(f"- **{kind}**: {listed}")
    return "\n".join(lines) + "\n"


def _own_parameters() -> Iterator[str]:
    yield "| type | parameter | what it finds | in the element | canonical url |\n|---|---|---|---|---|"
    for each in artefacts.by_url("profiles", "SearchParameter").values():
        expression = each["expression"].replace("|", "\\|")
        yield (
            f"| {', '.join(each['base'])} | `{each['code']}` ({each['type']}) | {each['description']} "
            f"| `{expression}` | `{each['url']}` |"
        )


def _modifiers() -> str:
    return "\n".join(
        f"| {kind} | {', '.join(f'`:{each}`' for each in named if each) or 'none'} |"
        for kind, named in MODIFIERS.items()
    )


def _artefacts() -> str:
    lines = ["# Artefacts\n", "| artefact | canonical url | version | status |\n|---|---|---|---|"]
    for package in ("profiles", "terminology", "questionnaires", "outcome_engine"):
        for artefact in carried(package):
            title = artefact.get("title", artefact.get("name", artefact["id"]))
            lines.append(
                f"| {artefact['resourceType']}: {title} | {_canonical(artefact)} "
                f"| {artefact.get('version', '')} | {artefact['status']} |"
            )
    return "\n".join(lines) + "\n"


def _canonical(artefact: Resource) -> str:
    """Return the url of an artefact; of a NamingSystem, which has none in R4, the uri that it names."""
    return f"`{artefact.get('url') or artefact['uniqueId'][0]['value']}`"


def _topics() -> str:
    rows = (
        f"| {topic.title} | `{topic.url}` | {topic.description} | {topic.type} | "
        f"{', '.join(f'`{name}`' for name in topic.filters)} |"
        for topic in TOPICS.values()
    )
    head = "| topic | canonical url | triggered when | resource | filters |\n|---|---|---|---|---|"
    return "# Subscription topics\n\n" + "\n".join([head, *rows]) + "\n"
