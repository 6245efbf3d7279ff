"""The server under cProfile: `python -m benchmarks.load.profiled FOLDER serve`.

On SIGUSR1 it writes the functions that took most of the time since the last signal, all threads
together, to the file that FOLDER/next names. Waiting is counted: leave out `poll` and `get` of
SimpleQueue. Profiling makes the server about half as fast: read the shares, not the seconds.
"""

import cProfile
import io
import pstats
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

from fhir_server.__main__ import main

SHOWN = 30


class _Taken:
    """What pstats takes for a profile: figures already read."""

    def __init__(self, profile: cProfile.Profile) -> None:
        profile.snapshot_stats()
        self.stats = profile.stats  # type: ignore[attr-defined]

    def create_stats(self) -> None:
        """The figures are there."""


def run(folder: Path) -> int:
    """Run a command of the server, profiled; one profile for each thread."""
    profiles = [cProfile.Profile()]
    original = threading.Thread.run

    def profiled(thread: threading.Thread) -> None:
        mine = cProfile.Profile()
        profiles.append(mine)
        mine.enable()
        original(thread)

    def write(_number: int, _frame: FrameType | None) -> None:
        wanted = folder / "next"
        text = io.StringIO()
        taken = [_Taken(profile) for profile in profiles]
        figures = pstats.Stats(*[some for some in taken if some.stats], stream=text)
        figures.sort_stats("tottime").print_stats(SHOWN)
        figures.sort_stats("cumulative").print_stats(2 * SHOWN)
        (folder / f"{wanted.read_text()}.txt").write_text(text.getvalue())
        for profile in profiles:
            profile.clear()
        wanted.unlink()

    threading.Thread.run = profiled  # type: ignore[method-assign]
    signal.signal(signal.SIGUSR1, write)
    profiles[0].enable()
    return main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1])))
