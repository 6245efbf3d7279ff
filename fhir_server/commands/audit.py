"""`audit`: list who did what to which resource."""

from datetime import UTC, datetime

from fhir_server.app import context
from fhir_server.context import instant
from fhir_server.settings import Settings
from fhir_server.store import audit as store
from fhir_server.store.audit import Access
from fhir_server.store.search.keys import bounds


def audit(
    settings: Settings, resource: str | None, principal: str | None, since: str | None
) -> None:
    """Print one line for each access: moment, principal, interaction, resource, status; no content.

    Raises ValueError for a resource that is not `type/id`, or a date that is none.
    """
    kind, mark, key = (resource or "").partition("/")
    if resource is not None and not (kind and mark and key):
        raise ValueError(f"{resource} is not a resource: write it as Patient/123")
    named = (kind, key) if resource else None
    moment = bounds(since)[0] if since else None
    made = context(settings)
    try:
        many = 0
        for each in store.accesses(made.database, named, principal, moment):
            print(_line(each))
            many += 1
        print(f"{many} accesses")
    finally:
        made.database.close()


def _line(access: Access) -> str:
    moment = instant(datetime.fromtimestamp(access.moment / 1_000_000, UTC))
    place = "/".join(each for each in (access.type, access.key) if each) or "-"
    version = f"/_history/{access.version}" if access.version else ""
    status = "stored" if access.version else str(access.status or "-")
    return f"{moment}\t{access.principal}\t{access.interaction}\t{place}{version}\t{status}"
