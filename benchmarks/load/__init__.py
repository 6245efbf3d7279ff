"""The same load for any FHIR R4 server, over HTTP: this project's, or a peer's by its base URL.

`python -m benchmarks.load --help` lists the options; `python -m benchmarks load` is a short run.
"""


def main() -> None:
    """Run in short, against small registries served from here."""
    from benchmarks.load.__main__ import QUICK  # noqa: PLC0415 - this package is what that imports
    from benchmarks.load.running import run  # noqa: PLC0415

    run(QUICK)
