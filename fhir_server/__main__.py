"""The command line: `python -m fhir_server <command>`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from fhir_server import simulate
from fhir_server.commands import (
    audit,
    case_mix,
    cda,
    choice,
    client,
    convert,
    dead_letters,
    deaths,
    demo,
    docs,
    erasure,
    hes,
    inbox,
    load,
    load_terminology,
    mappings,
    migrate,
    objection,
    opt_outs,
    outcomes,
    parameters,
    purge,
    reindex,
    sandbox,
    scorecard,
    serve,
    surveys,
    unload,
    unmerge,
    verify,
    verify_document,
)
from fhir_server.settings import Settings
from r4.issue import FhirError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    given = parser().parse_args(arguments)
    try:
        status = given.run(given)
    except KeyboardInterrupt:
        return 130
    except (OSError, ValueError, ModuleNotFoundError, FhirError) as failure:
        print(f"csor: {failure}", file=sys.stderr)
        return 1
    return status if isinstance(status, int) else 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of every command."""
    top = argparse.ArgumentParser(prog="fhir_server", description="CSOR: a registry's FHIR server.")
    commands = top.add_subparsers(required=True, metavar="command")

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text)

    add("serve", "Serve FHIR and HL7 v2.").set_defaults(run=lambda _: serve.serve(Settings()))
    _add_loading(add)
    demonstrate = add("demo", "Serve, simulate three years, evaluate, and keep serving.")
    demo.add_arguments(demonstrate)
    demonstrate.set_defaults(run=demo.demo)
    playground = add("sandbox", "Serve fictitious children to vendors, who register themselves.")
    sandbox.add_arguments(playground)
    playground.set_defaults(run=sandbox.sandbox)
    simulated = add("simulate", "Send a synthetic registry to a server, by its public doors.")
    simulate.add_arguments(simulated)
    simulated.set_defaults(run=_simulate)
    inbox.add_arguments(add)
    undone = add("unmerge", "Undo the merge that a message of the inbox has asked for.")
    undone.add_argument("number", type=int, help="the inbox number of the merge")
    undone.add_argument("--dry-run", action="store_true", help="say what would change")
    undone.set_defaults(
        run=lambda given: unmerge.unmerge(Settings(), given.number, dry_run=given.dry_run)
    )
    document = add("cda", "Take CDA operative notes from files, as the server's own door would.")
    document.add_argument("file", type=Path, nargs="+", help="a CDA document")
    document.set_defaults(run=lambda given: cda.cda(Settings(), given.file))
    shown = add("convert", "Show what the HL7 v2 messages in a file would become, row by row.")
    shown.add_argument("file", type=Path, help="one message, several, a batch, or v2.xml")
    shown.add_argument("--json", action="store_true", help="the Parameters of $convert")
    shown.set_defaults(
        run=lambda given: convert.convert(
            given.file, as_json=given.json, mappings=Settings().mappings
        )
    )
    _add_mappings(add)
    _add_storage(add)
    letters = add("dead-letters", "List notifications that were given up, or send them again.")
    letters.add_argument("--replay", type=int, nargs="+", metavar="N", help="their numbers")
    letters.set_defaults(run=lambda given: dead_letters.dead_letters(Settings(), given.replay))
    outcomes.add_arguments(add("outcomes", "Compute outcomes for every child of the store."))
    for each in (
        client,
        scorecard,
        verify_document,
        surveys,
        objection,
        opt_outs,
        erasure,
        parameters,
        case_mix,
        choice,
    ):
        each.add_arguments(add)
    reference = add("docs", "Write docs/reference, or check that it is current.")
    reference.add_argument("--check", action="store_true")
    reference.set_defaults(run=lambda given: docs.docs(check=given.check))
    return top


def _add_loading(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the commands that load, and unload, what others publish."""
    loading = add(
        "load", "Store this release's artefacts; load FHIR packages and folders, HL7's tables."
    )
    loading.add_argument("place", type=Path, nargs="*", help="a folder, or a package (.tgz)")
    loading.set_defaults(run=lambda given: load.load(Settings(), given.place))
    load_terminology.add_arguments(
        add("load-terminology", "Load a release of SNOMED CT, OPCS-4, ICD-10, ODS or LOINC.")
    )
    hes.add_arguments(add("hes", "Load a file of Hospital Episode Statistics."))
    deaths.add_arguments(add("deaths", "Load deaths that were linked to children, by a layout."))
    unloading = add(
        "unload", "Remove what was loaded and say who needs it; or list what is loaded."
    )
    unloading.add_argument(
        "name", nargs="*", help="a package, name#version; a release, url|version"
    )
    unloading.set_defaults(run=lambda given: unload.unload(Settings(), given.name))


def _add_mappings(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the commands about mapping tables."""
    tables = add("mappings", "Check an operator's folder of mappings, or HL7's v2-to-FHIR tables.")
    actions = tables.add_subparsers(required=True, metavar="action")
    checked = actions.add_parser(
        "check", help="say what would be used, and why not; changes nothing"
    )
    checked.add_argument(
        "place", type=Path, help="the folder of CSOR_MAPPINGS; or HL7's tables, a folder or a .tgz"
    )
    checked.set_defaults(run=lambda given: mappings.check(given.place))
    agreed = actions.add_parser("agree", help="compare HL7's tables with ours, row by row")
    agreed.add_argument("place", type=Path, help="HL7's tables, a folder or a .tgz")
    agreed.add_argument("--csv", action="store_true", help="write every row as CSV")
    agreed.set_defaults(run=lambda given: mappings.agree(given.place, as_csv=given.csv))


def _add_storage(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the commands about what is stored."""
    erased = add("purge", "Erase a child, and everything that is about this child alone.")
    erased.add_argument("patient", help="the id of the Patient")
    erased.add_argument("--reason", required=True, help="kept in the tombstone")
    erased.set_defaults(run=lambda given: purge.purge(Settings(), given.patient, given.reason))
    audit.add_arguments(add)
    add("reindex", "Make the search index anew, while the server serves.").set_defaults(
        run=lambda _: reindex.reindex(Settings())
    )
    forward = add("migrate", "Bring the database to the newest schema.")
    forward.add_argument("--to", help="a revision; by default the newest")
    forward.add_argument("--show", action="store_true", help="change nothing, say the revision")
    forward.set_defaults(run=lambda given: migrate.migrate(Settings(), given.to, show=given.show))
    checked = add("verify", "Check that what is stored agrees with itself; changes nothing.")
    how_many = checked.add_mutually_exclusive_group()
    how_many.add_argument("--sample", type=int, default=1000, help="versions to look into")
    how_many.add_argument("--all", action="store_true", help="look into every version")
    checked.set_defaults(
        run=lambda given: verify.verify(Settings(), None if given.all else max(1, given.sample))
    )


def _simulate(given: argparse.Namespace) -> None:
    print(simulate.run(simulate.from_arguments(given)))


if __name__ == "__main__":
    sys.exit(main())
