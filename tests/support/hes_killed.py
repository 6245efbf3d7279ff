"""`python -m tests.support.hes_killed FILE N`: a load that kills itself soon after it said N things."""

import asyncio
import os
import random
import signal
import sys
import threading
from pathlib import Path

from fhir_server.app import alone
from fhir_server.context import Context
from fhir_server.operations import hes_load
from fhir_server.settings import Settings
from mappings.hes.bundle import PERSON


async def work(made: Context) -> None:
    job = await hes_load.accept(made, Path(sys.argv[1]), None, PERSON)
    number = 0
    async for _ in hes_load.load(made, job):
        number += 1
        if number == int(sys.argv[2]):
            delay = random.Random(number).uniform(0, 0.05)  # noqa: S311 - the same each time
            threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()


if __name__ == "__main__":
    asyncio.run(alone(Settings(), work))
