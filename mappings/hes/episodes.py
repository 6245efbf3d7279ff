"""A finished consultant episode as it stands in one row."""

from datetime import date
from typing import NamedTuple

import msgspec


class Operation(NamedTuple):
    """An operation of an episode: its OPCS-4 code, undotted, and its day where that is known."""

    code: str
    day: date | None


class Episode(msgspec.Struct, frozen=True, gc=False):
    """An episode, cleaned: None or "" is what is not known; `dismeth` is as it was sent.

    `admidate` is filled from the start of a first episode that is no transfer; `provider` is the first
    three characters of the provider's code.
    """

    person: str
    epikey: str
    epistat: str
    epistart: date | None
    epiend: date | None
    epiorder: int | None
    admidate: date | None
    disdate: date | None
    admimeth: str
    admisorc: str
    dismeth: str
    disdest: str
    classpat: str
    provider: str
    diagnoses: tuple[str, ...] = ()
    operations: tuple[Operation, ...] = ()

    @property
    def lacks(self) -> str:
        """Say why an episode belongs to no spell; "" where it does."""
        if self.epistat != "3":
            return "unfinished"
        needed = {
            "no person": self.person,
            "no ADMIDATE": self.admidate,
            "no PROCODE": self.provider,
            "no EPIKEY": self.epikey,
            "no EPISTART": self.epistart,
            "no EPIEND": self.epiend,
        }
        return next((reason for reason, value in needed.items() if not value), "")

    @property
    def place(self) -> str:
        """Where an episode that lacks nothing stands among its person's, as text sorts; provider first."""
        number = -1 if self.epiorder is None else self.epiorder
        return f"{self.provider}\t{self.epistart}\t{self.epiend}\t{number + 1:010}\t{self.epikey}"
