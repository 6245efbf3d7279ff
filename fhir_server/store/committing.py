"""`python -m fhir_server.store.committing`: be the writer of a database, as `store.apart` starts it."""

import contextlib
import gc
import os
import signal
import socket
import sys

from fhir_server.store.apart import serve
from fhir_server.store.database import committer

_GARBAGE = 50_000
"""New objects after which cycles are looked for: jobs have none."""


def main(descriptor: str) -> None:
    """Commit what comes over a socket, until it is closed."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(
            number, signal.SIG_IGN
        )  # what is under way is finished, and the socket closed
    made = committer(os.environ["CSOR_DATABASE"])
    gc.freeze()
    gc.set_threshold(_GARBAGE)
    with socket.socket(fileno=int(descriptor)) as end, contextlib.suppress(ConnectionError):
        serve(end, made)
    made.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
