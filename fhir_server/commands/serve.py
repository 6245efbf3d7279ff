"""`serve`: open every door and keep them open until told to stop."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Sequence

from uvicorn.loops.auto import auto_loop_factory

from fhir_server.app import HttpServer, context, running
from fhir_server.commands.load import load_artefacts
from fhir_server.mllp import Server
from fhir_server.operations.outcomes_process import InProcess
from fhir_server.settings import Settings

logger = logging.getLogger("csor.serve")

_SWITCH = 0.0005
"""Seconds after which a busy thread lets another one run: the writer's steps between two statements."""


_GARBAGE = 50_000
"""New objects after which cycles are looked for: resources have none, and a Bundle has many objects."""


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM; SIGHUP has certificates read anew.

    Raises OSError where a port is taken, ValueError where a door would be open to anybody.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for chatty in ("alembic", "httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    sys.setswitchinterval(_SWITCH)
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:  # uvloop where there is one
        runner.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    made = context(settings, apart=True)
    try:
        stored = await made.database.driven(load_artefacts(made))
        async with running(made, InProcess(settings)) as (base_url, listeners, http):
            print(f"FHIR R4       {base_url}{' (TLS)' if http.files else ''}")
            for listener in listeners:
                print(f"HL7 v2 MLLP   {listener.address}{' (TLS)' if listener.files else ''}")
            where = made.database.dialect.name
            print(f"database      {where} ({stored} artefacts new or changed)", flush=True)
            loop.add_signal_handler(signal.SIGHUP, _renew, http, listeners)
            gc.freeze()  # what is loaded by now stays: collecting it again would stall every request
            gc.set_threshold(_GARBAGE)
            await stop.wait()
    finally:
        made.database.close()


def _renew(http: HttpServer, listeners: Sequence[Server]) -> None:
    """Show the certificates that the files hold now; where they are no good, those of before."""
    doors: list[tuple[str, HttpServer | Server]] = [("http", http)]
    doors += [(f"mllp {each.address}", each) for each in listeners]
    for name, door in (each for each in doors if each[1].files is not None):
        try:
            door.renew()
            logger.info("%s: the files for TLS are read anew", name)
        except ValueError as wrong:
            logger.error("%s: %s", name, wrong)  # noqa: TRY400 - the files are named
