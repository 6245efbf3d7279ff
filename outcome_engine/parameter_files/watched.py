"""The parameter files of an operator as they are now: read again when any of them has changed.

What cannot be read any more is not there: no measure is computed by what was there before.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from outcome_engine.parameter_files.parameter_file import F, ParameterFile, Parameters, known
from outcome_engine.parameter_files.signature import Signatories
from r4.json import Resource

logger = logging.getLogger("csor.parameters")


class Watched(Parameters):
    """Parameters that follow a folder and a file of signatories, asked for anew each time.

    Raises OSError and ValueError as `known` does, for what is wrong at start; what becomes wrong later
    is told in the log.
    """

    def __init__(self, folder: Path | None, signatories: Path | None) -> None:
        self._places = (folder, signatories)
        stamps = self._stamps()  # before they are read: what changes meanwhile is seen
        self._held = (stamps, known(folder, signatories))

    @property
    def signatories(self) -> Signatories:
        """Who may sign."""
        return self.now().signatories

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return iter(self.now())

    def now(self) -> Parameters:
        """Return the parameters of this moment, which stay as they are."""
        stamps = self._stamps()
        seen, held = self._held
        if stamps == seen:
            return held
        held = self._again()
        self._held = (stamps, held)
        return held

    def of(self, measure: Resource, as_of: str) -> ParameterFile[Any] | None:
        """Return the parameters of a measure by the files of this moment; raises as `Parameters.of`."""
        return self.now().of(measure, as_of)

    def of_kind(self, form: type[F], measure: Resource, as_of: str) -> ParameterFile[F] | None:
        """Return the newest valid file of a kind by the files of this moment; raises as `of` does."""
        return self.now().of_kind(form, measure, as_of)

    def _again(self) -> Parameters:
        """Read all again; nobody may sign by a faulty file of signatories, no file is in a lost folder."""
        folder, signatories = self._places
        for places in ((folder, signatories), (folder, None), (None, None)):
            try:
                found = known(*places)
            except (OSError, ValueError) as wrong:
                logger.error("measures that need parameters are refused: %s", wrong)  # noqa: TRY400 - the file is named
            else:
                break
        logger.info("the parameter files are read again, since they have changed")
        return found

    def _stamps(self) -> tuple[object, ...]:
        folder, signatories = self._places
        return (
            () if folder is None else _listed(folder),
            () if signatories is None else _stamp(signatories),
        )


def _listed(folder: Path) -> object:
    try:
        names = sorted(each.name for each in os.scandir(folder) if each.name.endswith(".json"))
    except OSError:
        return None
    return tuple((name, _stamp(folder / name)) for name in names)


def _stamp(file: Path) -> object:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
