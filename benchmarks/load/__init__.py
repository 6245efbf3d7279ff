"""The same load for any FHIR R4 server, over HTTP: this project's, or a peer's by its base URL.

`python -m benchmarks.load --help` lists the options; `python -m benchmarks load` is a short run.
"""

from benchmarks.load.running import Options, run


def main() -> None:
    """Run in short: every load for two seconds, against a small registry served from here."""
    run(Options(seconds=2, sizes=(200, 1000)))
