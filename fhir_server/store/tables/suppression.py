"""Who was erased at a family's request, and is not to come back (`store.suppression`)."""

from sqlmodel import Field, SQLModel

from fhir_server.store.tables.keys import number_key


class Suppressed(SQLModel, table=True):
    """The keyed hash of an identifier of a child who was erased, and by which purge; 0: the key's own."""

    __tablename__ = "suppressed"

    hash: str = Field(primary_key=True)
    tombstone: int = Field(sa_column=number_key())
