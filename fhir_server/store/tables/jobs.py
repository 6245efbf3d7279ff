"""What is done after the answer: subscriptions and asynchronous jobs."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary
from sqlmodel import Field, SQLModel

from fhir_server.store.tables.keys import number_key


class SubscriptionCursor(SQLModel, table=True):
    """How far a subscription has come: the last row dealt with, its events, what failed since."""

    __tablename__ = "subscription"

    id: str = Field(primary_key=True)
    position: int = Field(sa_type=BigInteger)
    events: int = Field(sa_type=BigInteger)
    failures: int
    dead: int
    next_attempt: int | None = Field(default=None, sa_type=BigInteger)
    error: str | None = None


class SubscriptionEvent(SQLModel, table=True):
    """One event of a subscription that has been dealt with: its number and the version's row."""

    __tablename__ = "subscription_event"

    subscription: str = Field(primary_key=True)
    number: int = Field(sa_column=number_key())
    rid: int = Field(sa_type=BigInteger)


class DeadLetter(SQLModel, table=True):
    """One event that could not be delivered: when it was given up, why, and the status answered."""

    __tablename__ = "dead_letter"
    __table_args__ = (
        Index("ix_dead_letter_subscription", "subscription"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    subscription: str
    number: int = Field(sa_type=BigInteger)
    rid: int = Field(sa_type=BigInteger)
    moment: int = Field(sa_type=BigInteger)
    reason: str
    status: int | None = None


class Job(SQLModel, table=True):
    """One asynchronous job: what was asked for and how far it has come, both as JSON."""

    __tablename__ = "job"
    __table_args__ = (Index("ix_job_status", "status"),)

    id: str = Field(primary_key=True)
    kind: str
    status: str
    principal: str
    accepted: int = Field(sa_type=BigInteger)
    finished: int | None = Field(default=None, sa_type=BigInteger)
    request: bytes = Field(sa_type=LargeBinary)
    state: bytes = Field(sa_type=LargeBinary)
