"""The table of why writes of hospitals' clients were refused."""

from sqlalchemy import BigInteger, Column, Index, Integer
from sqlmodel import Field, SQLModel


class Refusal(SQLModel, table=True):
    """One write that was refused, in the words that its sender was told; a purge empties the table."""

    __tablename__ = "refusal"
    __table_args__ = (Index("ix_refusal_principal", "principal", "id"),)

    id: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    moment: int = Field(sa_type=BigInteger)
    principal: str
    interaction: str
    type: str | None = None
    reason: str
