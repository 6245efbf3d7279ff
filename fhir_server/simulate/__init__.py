"""A synthetic registry: ten hospitals, six conditions, fictitious children, sent through the doors.

The simulator is an independent client, as a hospital's EPR is: it shares no code with the mappings,
forms or server that it speaks to.
"""

import asyncio

from rich.console import Console

from fhir_server.simulate.options import Options, add_arguments, from_arguments
from fhir_server.simulate.progress import shown
from fhir_server.simulate.simulation import simulate
from fhir_server.simulate.tally import Summary

__all__ = ["Options", "Summary", "add_arguments", "from_arguments", "run", "shown", "simulate"]


def run(options: Options, console: Console | None = None) -> Summary:
    """Run a simulation to its end, with progress on a console, for the command line."""
    with shown(console or Console()) as report:
        return asyncio.run(simulate(options, report))
