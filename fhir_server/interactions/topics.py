"""The topics that can be subscribed to: what happens, to what, and by what it can be filtered.

In R4 a SubscriptionTopic is no resource: these are known by their canonical URLs.
http://hl7.org/fhir/uv/subscriptions-backport/
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from terminology.systems import CSOR


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic: its resource type, whether updates trigger it too, elements it must have, filters."""

    url: str
    title: str
    description: str
    type: str
    filters: tuple[str, ...]
    updates: bool
    elements: Mapping[str, Any] = field(default_factory=dict)


TOPICS = {
    topic.url: topic
    for topic in (
        Topic(
            f"{CSOR}/SubscriptionTopic/new-case",
            "New case",
            "A case of the registry (an EpisodeOfCare) has been created.",
            "EpisodeOfCare",
            ("type", "organization"),
            updates=False,
        ),
        Topic(
            f"{CSOR}/SubscriptionTopic/new-outcome",
            "New outcome",
            "A child's outcome (an individual MeasureReport) has been created or updated.",
            "MeasureReport",
            ("measure", "reporter"),
            updates=True,
            elements={"type": "individual"},
        ),
    )
}
"""Every topic by its canonical URL."""
