"""Which hospital has which children (`store.custody`)."""

from sqlmodel import Field, SQLModel

from fhir_server.store.tables.keys import number_key


class Custody(SQLModel, table=True):
    """That a child, by the place of a Patient, was at an organisation, by its place."""

    __tablename__ = "custody"
    __table_args__ = {"sqlite_with_rowid": False}

    whose: int = Field(sa_column=number_key())
    organization: int = Field(sa_column=number_key())


class Site(SQLModel, table=True):
    """That an organisation, by its place, has an identifier, by its word, or is part of one that has it."""

    __tablename__ = "site"
    __table_args__ = {"sqlite_with_rowid": False}

    organization: int = Field(sa_column=number_key())
    hospital: int = Field(sa_column=number_key())
