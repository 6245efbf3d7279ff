"""The table of the mark that makes a database a sandbox."""

from sqlalchemy import BigInteger, Column
from sqlmodel import Field, SQLModel


class Sandbox(SQLModel, table=True):
    """One row where the database is a sandbox, and since when; none in any other."""

    __tablename__ = "sandbox"

    since: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
