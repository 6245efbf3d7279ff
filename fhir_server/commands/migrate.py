"""`migrate`: bring a database to the newest schema, or say how far it is."""

from fhir_server.settings import Settings
from fhir_server.store.database import revisions, upgrade


def migrate(settings: Settings, to: str | None, *, show: bool) -> int:
    """Apply the migrations up to a revision, or all; with `show`, none.

    Prints the revision that the database has then, and the newest; exit status 1 where `to` is not it.
    """
    if not show:
        upgrade(settings.database, to or "head")
    current, newest = revisions(settings.database)
    print(f"revision {current or 'none'}; the newest is {newest}")
    if show or to in (None, "head", current):
        return 0
    print(f"the database is not at {to}: a schema goes forward only; to go back, restore a copy")
    return 1
