"""bandit on the packages: what it finds is one of the exceptions that pyproject.toml explains, or a fault."""

import json
import tomllib
from collections import Counter
from collections.abc import Iterator

from hardening import tools

PACKAGES = (
    "r4",
    "terminology",
    "profiles",
    "questionnaires",
    "mappings",
    "outcome_engine",
    "fhir_server",
)
Found = Counter[tuple[str, str]]
"""How often bandit finds a test's fault in a file."""


def faults() -> list[str]:
    """Return what is found and not explained, and what is explained and not found."""
    settings = tomllib.loads((tools.ROOT / "pyproject.toml").read_text())["tool"]["hardening"]
    explained: Found = Counter()
    for each in settings["bandit"]:
        explained[each["test"], each["file"]] += each["times"]
    return list(differences(found(settings["elsewhere"]), explained))


def found(elsewhere: dict[str, str]) -> Found:
    """Run bandit, without the tests that another check of ours stands for."""
    skipped = ",".join(elsewhere)
    done = tools.run("bandit", "-q", "-r", *PACKAGES, "-s", skipped, "-f", "json")
    results = json.loads(done.stdout)["results"]
    return Counter((each["test_id"], each["filename"].removeprefix("./")) for each in results)


def differences(found: Found, explained: Found) -> Iterator[str]:
    """Yield a sentence for each file and test whose number is not the one that is explained."""
    for test, file in sorted({*found, *explained}):
        many, known = found[test, file], explained[test, file]
        if many != known:
            yield f"{file}: bandit finds {test} {many} times, and {known} are explained"
