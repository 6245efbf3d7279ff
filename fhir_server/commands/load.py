"""`load`: store this release's artefacts, or the definitions of FHIR packages and folders.

A copy of each can be read and searched as any resource. The server behaves by the reviewed files of its
release and by what is kept of packages; the copies are for its users, who change no rule with them.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path

import profiles
from fhir_server.app import alone
from fhir_server.commands import load_mappings
from fhir_server.commands.package_files import Found, Package, Refused, described, read
from fhir_server.context import PACKAGES, Context, carried, instant
from fhir_server.interactions.transaction import transaction
from fhir_server.settings import Settings
from fhir_server.store import packages
from fhir_server.store import read as store
from mappings.hl7v2 import official
from r4 import definitions
from r4.canonical import newest
from r4.definitions.build import VERSION
from r4.issue import FhirError, Issue
from r4.json import Resource, decode, encode

KINDS = frozenset((
    "ActivityDefinition", "CapabilityStatement", "ChargeItemDefinition", "CodeSystem",
    "CompartmentDefinition", "ConceptMap", "EventDefinition", "ExampleScenario", "GraphDefinition",
    "ImplementationGuide", "Library", "Measure", "MessageDefinition", "NamingSystem",
    "OperationDefinition", "PlanDefinition", "Questionnaire", "SearchParameter",
    "StructureDefinition", "StructureMap", "TerminologyCapabilities", "TestScript", "ValueSet",
))  # fmt: skip
"""What is loaded of a package: definitions. Examples are not."""
OF_THE_SERVER = ("hl7.fhir.r4.core#" + VERSION, "hl7.fhir.r4.examples#" + VERSION)
"""The packages that the server has without their being loaded."""
CHUNK = 200
"""Resources of one transaction."""
_TOLD = 3
"""Most faults of one refused file that the report tells."""
_NOTHING = packages.Tally(0, 0, 0)


@dataclass(slots=True)
class Report:
    """What became of the files of one place."""

    package: Package
    read: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    tally: packages.Tally = _NOTHING
    refused: list[Refused] = field(default_factory=list)
    uncopied: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def lines(self, place: Path) -> Iterator[str]:
        """Yield the lines that an operator reads."""
        yield f"{' '.join((self.package.name, self.package.version)).strip()} ({place})"
        yield f"  {self.read.total()} definitions: {_listed(self.read)}"
        if self.tally.new or self.tally.changed:
            new, changed, unchanged = self.tally
            yield f"  {new} new, {changed} changed, {unchanged} unchanged"
        else:
            yield "  nothing changed"
        if self.left_out:
            yield f"  not definitions, left out: {_listed(self.left_out)}"
        if self.refused:
            yield f"  {len(self.refused)} refused:"
        for each in self.refused:
            yield f"    {each.file}{f', line {each.line}' if each.line else ''}: {each.reason}"
        if self.uncopied:
            yield f"  {len(self.uncopied)} kept without a copy for users:"
        yield from (f"    {each}" for each in self.uncopied)
        yield from (f"  missing dependency: {each}" for each in self.missing)


async def load_artefacts(made: Context) -> int:
    """Store every artefact under its own id, in one transaction; returns how many are new or changed.

    A ViewDefinition is not of FHIR R4, and stays where it is.
    """
    moment = made.now()
    own = [artefact for package in PACKAGES for artefact in carried(package)]
    types = definitions.resource_types()
    response = await _stored(made, [each for each in own if each["resourceType"] in types])
    written = (entry["response"]["lastModified"] for entry in response["entry"])
    return sum(stamp >= instant(moment) for stamp in written)


def load(settings: Settings, places: Sequence[Path] = ()) -> int:
    """Store the artefacts and say how many were new; or load packages and folders, and report on each.

    HL7's v2-to-FHIR tables become the base layer of the mappings, for the next start.

    Returns the exit status: 1 where a file was refused. Raises ValueError for a place that is neither.
    """
    if not places:
        print(f"{asyncio.run(alone(settings, load_artefacts))} artefacts new or changed")
        return 0
    tables = [place for place in places if official.has_tables(place)]
    failed = [load_mappings.load(settings.mappings, place) for place in tables]
    places = [place for place in places if place not in tables]
    if not places:
        return max(failed)
    listed = [(place, described(place)) for place in places]
    reports = asyncio.run(alone(settings, partial(load_packages, places=listed)))
    for (place, _), report in zip(listed, reports, strict=True):
        for line in report.lines(place):
            print(line)
    return max(int(any(report.refused for report in reports)), *failed, 0)


async def load_packages(made: Context, places: Sequence[tuple[Path, Package]]) -> list[Report]:
    """Load what stands at each place, one after another; returns a report for each."""
    reports = [await _load(made, place, package) for place, package in places]
    known = {*OF_THE_SERVER, *packages.packages(made.database)}
    known |= {_named(report.package) for report in reports if report.read}
    for report in reports:
        report.missing = list(_missing(report.package, known))
    return reports


async def _load(made: Context, place: Path, package: Package) -> Report:
    report = Report(package)
    wanted = package.fhir_versions
    if wanted and not any(version.startswith("4.0") for version in wanted):
        text = f"the package is for FHIR {', '.join(wanted)}; this server speaks R4 ({VERSION})"
        report.refused.append(Refused("package.json", None, text))
        return report
    definitions = _definitions(place, report)
    seen: dict[tuple[str, str], str] = {}
    while chunk := list(islice(definitions, CHUNK)):
        copied = await _copied(made, chunk, seen, report)
        accepted = [found for found in copied if _says_all(found, report)]
        rows = [_row(found.resource, package) for found in accepted]
        tally = await packages.keep(made.database, rows)
        report.tally = packages.Tally(
            *(one + other for one, other in zip(report.tally, tally, strict=True))
        )
        report.read.update(row.kind for row in rows)
    return report


def _definitions(place: Path, report: Report) -> Iterator[Found]:
    """Yield the definitions at a place that can be taken; what cannot goes into the report."""
    ours = {
        (each["resourceType"], each["url"])
        for package in PACKAGES
        for each in carried(package)
        if "url" in each
    }
    files: dict[tuple[str, str, str], str] = {}
    for found in read(place):
        if isinstance(found, Refused):
            report.refused.append(found)
            continue
        resource = found.resource
        kind = resource["resourceType"]
        if kind not in KINDS:
            report.left_out[kind] += 1
            continue
        reason = _unaddressed(resource)
        if reason is None and (kind, resource.get("url")) in ours:
            reason = f"{resource['url']} is one of this release's own"
        if reason is None:
            first = files.setdefault(_key(resource), found.file)
            if first != found.file:
                reason = f"{first} has the same url and version"
        if reason is None:
            yield found
        else:
            report.refused.append(Refused(found.file, None, reason))


def _unaddressed(resource: Resource) -> str | None:
    """Say what a definition lacks to be referred to and stored; None where it lacks nothing."""
    for name in ("id", "url", "version"):
        if name in resource and not isinstance(resource[name], str):
            return f"its {name} is no text"
    if "id" not in resource:
        return "it has no id"
    if "url" not in resource and resource["resourceType"] != "NamingSystem":
        return "it has no url, so that nothing can refer to it"
    return None


def _key(resource: Resource) -> tuple[str, str, str]:
    """Return kind, url and version; a NamingSystem, which has no url, is known by its id."""
    kind = resource["resourceType"]
    return kind, resource.get("url", f"{kind}/{resource['id']}"), resource.get("version", "")


def _row(resource: Resource, package: Package) -> packages.Loaded:
    return packages.Loaded(*_key(resource), _named(package), encode(resource))


async def _copied(
    made: Context, chunk: Sequence[Found], seen: dict[tuple[str, str], str], report: Report
) -> list[Found]:
    """Store copies for users; returns what is accepted, its copy stored or not needed."""
    copies, others = [], []
    for found in chunk:
        place = (found.resource["resourceType"], found.resource["id"])
        first = seen.setdefault(place, found.file)
        taken = f"{first} has the same id" if first != found.file else _taken(made, found.resource)
        if taken is None:
            copies.append(found)
        elif _is_valid(made, found, report):
            others.append(found)
            if taken:
                report.uncopied.append(f"{found.file}: {taken}")
    try:
        if copies:
            await _stored(made, [found.resource for found in copies])
    except FhirError:
        return others + [each for each in copies if await _is_stored(made, each, report)]
    return others + copies


def _taken(made: Context, resource: Resource) -> str | None:
    """Return None where a copy may be stored, "" where a newer one is, else what stands in its place."""
    kind, id = resource["resourceType"], resource["id"]
    current = store.current(made.database, kind, id)
    if current is None or current.deleted:
        return None
    there = decode(current.body)
    if there.get("url") != resource.get("url"):
        return f"{kind}/{id} is {there.get('url', 'another resource')} here"
    versions = [there.get("version", ""), resource.get("version", "")]
    return None if newest(versions) == versions[1] else ""


async def _is_stored(made: Context, found: Found, report: Report) -> bool:
    """Store a copy alone; returns whether the definition is valid, its copy stored or not."""
    if not _is_valid(made, found, report):
        return False
    try:
        await _stored(made, [found.resource])
    except FhirError as refusal:  # it refers to examples, which are not loaded
        report.uncopied.append(f"{found.file}: {_reason(refusal.issues)}")
    return True


def _is_valid(made: Context, found: Found, report: Report) -> bool:
    """Tell whether a definition is valid in itself; what is wrong goes into the report."""
    issues = profiles.validate(
        found.resource, made.terminology, options=profiles.Options(warnings=False)
    )
    if issues:
        report.refused.append(Refused(found.file, None, _reason(issues)))
    return not issues


def _says_all(found: Found, report: Report) -> bool:
    """Tell whether a valid definition says all that it must to be in force; if not, the report does."""
    issues = profiles.unsaid(found.resource)
    if issues:
        report.refused.append(Refused(found.file, None, _reason(issues)))
    return not issues


def _reason(issues: Sequence[Issue]) -> str:
    told = []
    for issue in issues[:_TOLD]:
        place = (issue.expression or "").removeprefix("Bundle.entry[0].resource").lstrip(".")
        told.append(f"{place}: {issue.diagnostics}" if place else issue.diagnostics)
    if more := len(issues) - len(told):
        told.append(f"And {more} more.")
    return " ".join(" ".join(told).split())


async def _stored(made: Context, resources: Sequence[Resource]) -> Resource:
    """Put resources under their own ids, in one transaction; returns its response."""
    entries = [
        {
            "resource": resource,
            "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"},
        }
        for resource in resources
    ]
    settings = made.settings.model_copy(
        update={"update_create": True, "max_entries": len(entries)}
    )  # what clients may ask for does not bind the operator
    return await transaction(
        replace(made, settings=settings),
        {"resourceType": "Bundle", "type": "transaction", "entry": entries},
    )


def _missing(package: Package, known: set[str]) -> Iterator[str]:
    """Yield each dependency that is not loaded, and which other version of it is."""
    for name, version in package.dependencies.items():
        there = sorted(each.partition("#")[2] for each in known if each.partition("#")[0] == name)
        if not any(_is_version(version, each) for each in there):
            loaded = f" (loaded: {', '.join(there)})" if there else ""
            yield f"{name} {version}{loaded}"


def _is_version(wanted: str, there: str) -> bool:
    if wanted in ("", "*", "current", "dev", "latest"):
        return True
    stem, wildcard, _ = wanted.partition(".x")
    return there == wanted or (bool(wildcard) and there.startswith(f"{stem}."))


def _named(package: Package) -> str:
    return f"{package.name}#{package.version}"


def _listed(kinds: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "none"
