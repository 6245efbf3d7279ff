"""`python -m benchmarks.crash`: the options of a run, and what it prints."""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

from benchmarks.crash.feed import EACH, Feed, children
from benchmarks.crash.proof import faults
from benchmarks.crash.server import Server
from benchmarks.load import databases, messages
from benchmarks.load.wire import Peer

DATABASES = ("sqlite", "postgresql")


def main(arguments: Sequence[str]) -> int:
    """Run on each database; returns 1 where a message was lost, doubled or worked otherwise."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crash", description=__doc__)
    add = parser.add_argument
    add("--messages", type=int, default=100_000, help="in all, on each database (100000)")
    add("--databases", default=",".join(DATABASES), help="sqlite,postgresql (both)")
    add("--every", type=float, default=60, help="seconds from one kill to the next (60)")
    add("--connections", type=int, default=16, help="MLLP connections (16)")
    given = parser.parse_args(arguments)
    if unknown := set(given.databases.split(",")) - set(DATABASES):
        parser.error(f"{', '.join(sorted(unknown))}: sqlite, postgresql or both")
    if min(given.messages, given.every, given.connections) <= 0:
        parser.error("--messages, --every and --connections are more than 0")
    found: list[str] = []
    for name in databases.available(tuple(given.databases.split(","))):
        with databases.started(name) as database:
            found += asyncio.run(_run(name, database.url, given))
    return 1 if found else 0


async def _run(name: str, url: str, given: argparse.Namespace) -> list[str]:
    server = Server(url)
    await server.start()
    try:
        await messages.register(Peer.of(f"http://127.0.0.1:{server.port}/fhir"))
        feed = Feed(server.mllp, children(-(-given.messages // EACH)), given.connections)
        print(f"\n== {name}: {len(feed.numbers) * EACH:,} messages", flush=True)
        began = time.perf_counter()
        kills = await _killed(server, feed, given.every)
        seconds = time.perf_counter() - began
    finally:
        server.stop()
    print(f"{len(feed.accepted) / seconds:.1f} messages/s in {seconds:.0f} s", flush=True)
    print(f"kills: {kills[True]} of the server, {kills[False]} of its writer", flush=True)
    again = f"{feed.lost} connections lost, {feed.silent} without an answer for 30 s"
    print(f"sent again: {again}, refused: {dict(feed.refused)}", flush=True)
    found = faults(url, feed)
    print("\n".join(found) or "none lost, none doubled", flush=True)
    return found


async def _killed(server: Server, feed: Feed, every: float) -> dict[bool, int]:
    """Send everything, and kill writer and server in turns; returns how often each, server by True.

    None is killed before messages are accepted again, or a slow machine would never be done.
    """
    kills, before = {True: 0, False: 0}, 0
    sending = asyncio.create_task(feed.send())
    print(f"{server.mebibytes():.0f} MiB in the beginning", flush=True)
    whole = False
    while not (await asyncio.wait({sending}, timeout=every))[0]:
        while len(feed.accepted) == before and not sending.done():
            await asyncio.sleep(0.05)
        before = len(feed.accepted)
        print(f"{len(feed.accepted):,} accepted, {server.mebibytes():.0f} MiB", flush=True)
        kills[whole] += 1
        if whole:
            server.kill()
            await server.start()
        else:
            server.kill_writer()
        whole = not whole
    await sending
    print(f"{server.mebibytes():.0f} MiB in the end", flush=True)
    return kills


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
