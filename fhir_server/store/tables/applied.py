"""The table of when each sender last told something about a record."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from fhir_server.store.tables.keys import number_key


class AppliedMoment(SQLModel, table=True):
    """The time of the newest message of a sender that was applied to what stands at a place.

    moment: what the message says of its own time; message: its number in the inbox.
    """

    __tablename__ = "applied"
    __table_args__ = {"sqlite_with_rowid": False}

    place: int = Field(sa_column=number_key())
    sender: str = Field(primary_key=True)
    moment: int = Field(sa_type=BigInteger)
    message: int
