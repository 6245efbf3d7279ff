"""Who objects to the use of which data (`store.objections`)."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from fhir_server.store.tables.keys import number_key


class Objection(SQLModel, table=True):
    """That a Consent denies the use of a stream of a child's data.

    whose: the place of a Patient, each of those that are one person; told: of the Patient that the
    Consent itself names; consent: of the Consent; until: the moment in microseconds at which it runs
    out, None where it does not.
    """

    __tablename__ = "objection"
    __table_args__ = {"sqlite_with_rowid": False}

    whose: int = Field(sa_column=number_key())
    stream: str = Field(primary_key=True)
    consent: int = Field(sa_column=number_key())
    told: int = Field(sa_type=BigInteger, index=True)
    until: int | None = Field(default=None, sa_type=BigInteger)


class ObjectionState(SQLModel, table=True):
    """How often it has changed who objects to what; one row, once it has."""

    __tablename__ = "objection_state"

    id: int = Field(sa_column=number_key())
    changes: int = Field(sa_type=BigInteger)
