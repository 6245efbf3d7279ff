"""What one request may ask for, as the CapabilityStatement states it: R4 has no element for limits.

https://hl7.org/fhir/R4/capabilitystatement.html
"""

from typing import NamedTuple

from fhir_server.settings import Settings
from fhir_server.store import include
from fhir_server.store.search import criteria, filters, parse, results
from r4.json import Resource
from terminology.systems import CSOR

_EXTENSION = f"{CSOR}/StructureDefinition/capability-limit"


class Limit(NamedTuple):
    """A limit: its name, the most that is taken, what it is of, and what is answered beyond it."""

    name: str
    most: int
    text: str
    answer: str


def limits(settings: Settings) -> tuple[Limit, ...]:
    """Return the limits of one request."""
    costly = "422 (too-costly)"
    cut = "the answer says that it is not all"
    return (
        Limit("request-bytes", settings.max_body, "bytes of a body, unpacked", "413"),
        Limit("url-bytes", settings.max_url, "bytes of a URL", "414"),
        Limit("header-bytes", settings.max_headers, "bytes of all headers", "431"),
        Limit("bundle-entries", settings.max_entries, "entries of a Bundle", "413"),
        Limit("search-parameters", parse.MOST_PAIRS, "parameters of a search", costly),
        Limit(
            "search-codes", criteria.MOST_WORDS,
            "alternatives of a token, reference or uri, codes of a value set among them", costly,
        ),
        Limit("search-values", criteria.MOST_VALUES, "alternatives of any other parameter", costly),
        Limit("chain-depth", criteria.DEEPEST, "links of one chain, or of one _has", costly),
        Limit(
            "chain-links", criteria.MOST_LINKS,
            "links of all chains of a search, to each type that they may lead to", costly,
        ),
        Limit("filter-comparisons", filters.MOST, "comparisons of a _filter", costly),
        Limit("filter-depth", filters.DEEPEST, "parentheses of a _filter inside one another", costly),
        Limit("filter-characters", filters.LONGEST, "characters of a _filter", costly),
        Limit("page-entries", results.LARGEST_PAGE, "matches of a page (_count)", "a page of so many"),
        Limit("included-resources", include.MOST, "resources included in a page", cut),
        Limit("include-steps", include.MOST_STEPS, "steps of _include:iterate", cut),
    )  # fmt: skip


def documentation(settings: Settings) -> str:
    """Say the limits in Markdown, as rest.documentation."""
    rows = (f"- {each.most} {each.text}; beyond: {each.answer}" for each in limits(settings))
    request, query = settings.request_seconds, settings.query_seconds
    return (
        "One request may have at most:\n\n" + "\n".join(rows) + "\n\n"
        f"It must have arrived within {request:g} seconds (408), and none of its queries may take longer "
        f"than {query:g} seconds (503, timeout). Who asks more often than it may is answered 429 with "
        "Retry-After (throttled)."
    )


def extensions(settings: Settings) -> list[Resource]:
    """Return the limits as extensions, for programs."""
    return [
        {
            "url": _EXTENSION,
            "extension": [
                {"url": "name", "valueCode": each.name},
                {"url": "most", "valueInteger": each.most},
            ],
        }
        for each in limits(settings)
    ]
