"""The table of the links that have been sent to parents."""

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel


class SurveyLink(SQLModel, table=True):
    """One link: what it opens, until when, and what has become of it. The link itself is not kept.

    digest: SHA-256 of the link's number, in hex; place: the survey's Task (the key of
    a resource's type and id); attempts: how often a
    wrong date of birth was given; used: when it was, or None.
    """

    __tablename__ = "survey_link"

    digest: str = Field(primary_key=True)
    place: int = Field(sa_type=BigInteger, index=True)
    expires: int = Field(sa_type=BigInteger)
    attempts: int
    used: int | None = Field(default=None, sa_type=BigInteger)
