"""The tables of the audit's chain and of its journals: links, seals, the key of its hashes."""

from sqlalchemy import BigInteger, Column, LargeBinary
from sqlmodel import Field, SQLModel

from fhir_server.store.tables.keys import number_key


class AuditLink(SQLModel, table=True):
    """The rows of the audit from one to another, that were committed together: a hash over them.

    Each hash is over the one before it, too (`store.chain`).
    """

    __tablename__ = "audit_link"

    last: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    first: int = Field(sa_type=BigInteger)
    hash: bytes = Field(sa_type=LargeBinary)


class AuditSeal(SQLModel, table=True):
    """A head of the chain that this server has signed, as JSON."""

    __tablename__ = "audit_seal"

    last: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    head: str


class AuditSalt(SQLModel, table=True):
    """The key of the hashes that stand for ids in the chain; one row."""

    __tablename__ = "audit_salt"

    salt: str = Field(primary_key=True)


class AuditChild(SQLModel, table=True):
    """The rows of the audit that told of a child, by the key of its place or of its hash."""

    __tablename__ = "audit_child"
    __table_args__ = {"sqlite_with_rowid": False}

    child: int = Field(sa_column=number_key())
    audit: int = Field(sa_column=number_key())


class AuditJournal(SQLModel, table=True):
    """How many lines of a process's journal are rows of the audit by now."""

    __tablename__ = "audit_journal"

    journal: str = Field(primary_key=True)
    folded: int = Field(sa_type=BigInteger)
