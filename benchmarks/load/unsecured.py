"""The server with nothing known, admitted, confined or recorded of who asks.

`python -m benchmarks.load.unsecured serve` is there to be measured beside the server that ships, and
listens on this machine alone. The process that commits is this module too, with `committing` before its
arguments.
"""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

from fhir_server.access import LOCAL, Callers
from fhir_server.rest import application, audit
from fhir_server.store import apart, batch, chain, committing, custody

_COMMITTING = "fhir_server.store.committing"


def main(arguments: list[str]) -> int:
    """Run a command of the server, or commit for one, without access and audit."""
    if arguments[0] == "committing":
        _commit_alone()
        committing.main(*arguments[1:])
        return 0
    from fhir_server.__main__ import main as command  # noqa: PLC0415 - not for the process that commits

    _serve_anybody()
    return command(arguments)


def _serve_anybody() -> None:
    """Take every caller for the registry, and tell the audit of nobody."""

    def nothing(*_given: Any, **_named: Any) -> None:
        return None

    def anybody(*_given: Any, **_named: Any) -> Any:
        return LOCAL

    def started(command: list[str], **named: Any) -> "subprocess.Popen[bytes]":
        at = command.index(_COMMITTING)
        mine = [*command[:at], "benchmarks.load.unsecured", "committing", *command[at + 1 :]]
        return subprocess.Popen(mine, **named)

    Callers.identify = anybody  # type: ignore[method-assign]
    application.admit = nothing
    audit.record = nothing
    apart.subprocess = SimpleNamespace(Popen=started)  # type: ignore[attr-defined]


def _commit_alone() -> None:
    """Store no row of the audit, link none, and keep no account of whose a child is."""

    def nobody(*_given: Any) -> set[Any]:
        return set()

    kind = batch._Batch  # noqa: SLF001 - what is measured is the server without a part of it
    flush = kind.flush

    def unrecorded(made: Any) -> None:
        made.audit = []
        flush(made)

    kind.flush = unrecorded  # type: ignore[method-assign]
    chain.link = nobody  # type: ignore[assignment]
    custody.changed = nobody
    custody.renew = nobody  # type: ignore[assignment]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
