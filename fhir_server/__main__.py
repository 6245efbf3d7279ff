"""The command line: `python -m fhir_server <command>`."""

import argparse
import sys
from collections.abc import Sequence

from fhir_server import simulate
from fhir_server.commands import dead_letters, demo, docs, inbox, load, serve
from fhir_server.settings import Settings
from r4.issue import FhirError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    given = parser().parse_args(arguments)
    try:
        status = given.run(given)
    except KeyboardInterrupt:
        return 130
    except (OSError, ValueError, FhirError) as failure:
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
    add("load", "Store this release's artefacts.").set_defaults(run=lambda _: load.load(Settings()))
    demonstrate = add("demo", "Serve, simulate three years, evaluate, and keep serving.")
    demo.add_arguments(demonstrate)
    demonstrate.set_defaults(run=demo.demo)
    simulated = add("simulate", "Send a synthetic registry to a server, by its public doors.")
    simulate.add_arguments(simulated)
    simulated.set_defaults(run=_simulate)
    messages = add("inbox", "List what arrived: refused, received or processed.")
    messages.add_argument(
        "--status", choices=("refused", "received", "processed"), default="refused"
    )
    messages.set_defaults(run=lambda given: inbox.listing(Settings(), given.status))
    again = add("replay", "Process refused messages again.")
    again.add_argument("number", type=int, nargs="*", help="inbox numbers; none: all refused ones")
    again.set_defaults(run=lambda given: inbox.replay(Settings(), given.number))
    letters = add("dead-letters", "List notifications that were given up, or send them again.")
    letters.add_argument("--replay", type=int, nargs="+", metavar="N", help="their numbers")
    letters.set_defaults(run=lambda given: dead_letters.dead_letters(Settings(), given.replay))
    reference = add("docs", "Write docs/reference, or check that it is current.")
    reference.add_argument("--check", action="store_true")
    reference.set_defaults(run=lambda given: docs.docs(check=given.check))
    return top


def _simulate(given: argparse.Namespace) -> None:
    print(simulate.run(simulate.from_arguments(given)))


if __name__ == "__main__":
    sys.exit(main())
