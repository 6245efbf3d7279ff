"""The outcomes that are kept: one of each child and measure, and how far they follow the history."""

from sqlalchemy import BigInteger, Index, LargeBinary
from sqlmodel import Field, SQLModel


class KeptOutcome(SQLModel, table=True):
    """One child's outcome by one measure, as `outcome_engine` found it.

    child: id of the Patient who survives of the child's merged ones; case_id: id of the case that
    opened the measure; generation: by which definition, parameters and day; position: the row at which
    it was found; case_date: empty where the child cannot be assessed, and outcome_class None; score in
    millionths; body: the outcome as JSON.
    """

    __tablename__ = "outcome"
    __table_args__ = (Index("ix_outcome_case_date", "measure", "case_date", "child", "case_id"),)

    measure: str = Field(primary_key=True)
    child: str = Field(primary_key=True)
    case_id: str = Field(primary_key=True)
    generation: str
    position: int = Field(sa_type=BigInteger)
    as_of: str
    hospital: str | None = None
    case_date: str
    outcome_class: str | None = None
    score: int | None = Field(default=None, sa_type=BigInteger)
    body: bytes = Field(sa_type=LargeBinary)


class OutcomeCursor(SQLModel, table=True):
    """How far the outcomes of a measure follow the history.

    position: the last row that has been dealt with; swept, sweep_to: of all children anew, the last row
    of a case that has been dealt with, and up to which row there are some; greater once what is left of
    earlier generations has been taken away, too.
    """

    __tablename__ = "outcome_cursor"

    measure: str = Field(primary_key=True)
    generation: str
    position: int = Field(sa_type=BigInteger)
    swept: int = Field(sa_type=BigInteger)
    sweep_to: int = Field(sa_type=BigInteger)
