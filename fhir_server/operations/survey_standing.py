"""Whether a survey may go on: asked at every step, of what is stored now.

A child's death, or an objection to what parents report, stops it at once, whoever has told it.
https://hl7.org/fhir/R4/task.html and https://hl7.org/fhir/R4/consent.html
"""

from dataclasses import dataclass

from fhir_server.context import Context, instant
from fhir_server.interactions.targets import find, survivor
from fhir_server.operations.forms import one
from fhir_server.store import read as store
from fhir_server.store.objections import PARENT_REPORTED, STREAM
from r4.issue import FhirError, error
from r4.json import Resource, decode
from terminology.systems import CSOR

TASK = f"{CSOR}/CodeSystem/task"
SURVEY, TOLD_OF_DEATH = "survey", "told-of-death"
CLOSED = "This survey is closed. There is nothing more for you to do. Thank you."
OPEN = ("requested", "ready", "in-progress")
_REFUTED = "rejected,cancelled,entered-in-error"
MANY = 1000
"""Most Consents or Tasks of one child that are looked at."""


@dataclass(frozen=True, slots=True)
class Survey:
    """A survey that may go on: its Task, the child, and who is asked.

    version: the Task's. child: the Patient that stands for the child.
    """

    task: Resource
    version: int
    child: Resource

    @property
    def id(self) -> str:
        """The id of the Task."""
        return str(self.task["id"])

    @property
    def is_whole(self) -> bool:
        """Whether the Task says its number, who is asked and the form: one that a client stored may not."""
        return (
            "value" in self.task.get("identifier", [{}])[0]
            and "reference" in self.task.get("owner", {})
            and "valueCanonical" in self.task.get("input", [{}])[0]
        )

    @property
    def parent(self) -> Resource:
        """The Reference to who is asked."""
        return {"reference": self.task["owner"]["reference"]}

    @property
    def form(self) -> str:
        """The canonical of the form, with its version."""
        return str(self.task["input"][0]["valueCanonical"])

    @property
    def start(self) -> str | None:
        """The day from which it can be answered, None where the Task names none."""
        found: str | None = self._period.get("start")
        return found

    @property
    def until(self) -> str | None:
        """The last day on which it can be answered, or its month or year; None where it stays open."""
        found: str | None = self._period.get("end")
        return found

    @property
    def response(self) -> str | None:
        """The id of the response, once there is one."""
        focus = self.task.get("focus", {}).get("reference", "")
        return focus.partition("/")[2] or None

    @property
    def _period(self) -> Resource:
        found: Resource = self.task.get("restriction", {}).get("period", {})
        return found


def survey(context: Context, task_id: str) -> Survey:
    """Return a survey that may go on; raises FhirError 410 for one that has ended, whatever ended it.

    A parent whose record is active no longer (a custody that has ended) is asked nothing any more, and
    nobody is by a Task that is not whole.
    """
    found = known(context, task_id)
    if found is None or not _is_asked(context, found) or ended(context, found) is not None:
        raise FhirError(410, [error("business-rule", CLOSED, rule="survey-closed")])
    return found


def is_asked_of(found: Survey, parent: str) -> bool:
    """Tell whether a survey is asked of a parent, by the Reference to them: owners may change."""
    return bool(found.task.get("owner", {}).get("reference") == parent)


def _is_asked(context: Context, found: Survey) -> bool:
    if not found.is_whole:
        return False
    parent = one(context, found.parent["reference"], "RelatedPerson")
    return parent is not None and bool(decode(parent.body).get("active", True))


def known(context: Context, task_id: str) -> Survey | None:
    """Return the survey of a Task, whether or not it may go on; None where there is none."""
    stored = store.current(context.database, "Task", task_id)
    if stored is None or stored.deleted:
        return None
    task = decode(stored.body)
    codes = {(each.get("system"), each.get("code")) for each in task["code"].get("coding", ())}
    child = one(context, task.get("for", {}).get("reference", ""), "Patient")
    if (TASK, SURVEY) not in codes or child is None:
        return None
    return Survey(task, stored.version, decode(survivor(context, child).body))


def ended(context: Context, found: Survey) -> str | None:
    """Return why a survey may not go on, as a code of CodeSystem-survey-stop; None where it may.

    "" is of one that is done, or was stopped before.
    """
    if found.task["status"] not in OPEN:
        return ""
    if reason := stopped(context, found.child):
        return reason
    # A Task that a client stored may have no end, and then is never over, or only its month or year.
    last = (found.until or "")[:10]
    return None if instant(context.now())[: len(last)] <= last else "window-over"


def stopped(context: Context, child: Resource) -> str | None:
    """Return why a child's parents are asked nothing any more, or None."""
    records = _records(context, child)
    if any(each.get("deceasedBoolean") or "deceasedDateTime" in each for each in records):
        return "death"
    told = f"code={TASK}|{TOLD_OF_DEATH}&status:not={_REFUTED}"
    if find(context, "Task", f"{_about(records)}&{told}")[1]:
        return "death"
    if any(_objects(context, each) for each in _consents(context, records)):
        return "objection"
    return None


def consents(context: Context, child: Resource) -> list[Resource]:
    """Return the Consents about a child that are in force by their status."""
    return _consents(context, _records(context, child))


def open_tasks(context: Context, child: Resource) -> list[Resource]:
    """Return the Tasks of a child's surveys that are not done and not stopped."""
    return [each for each in survey_tasks(context, child) if each["status"] in OPEN]


def survey_tasks(context: Context, child: Resource) -> list[Resource]:
    """Return the Tasks of all surveys about a child, whatever has become of them."""
    criteria = f"{about(context, child)}&code={TASK}|{SURVEY}"
    _, found = find(context, "Task", criteria, MANY)
    return [decode(each.body) for each in found]


def people(context: Context, child: Resource) -> list[Resource]:
    """Return the RelatedPersons of a child."""
    _, found = find(context, "RelatedPerson", about(context, child), MANY)
    return [decode(each.body) for each in found]


def about(context: Context, child: Resource) -> str:
    """Return the search criteria of what is about a child, under any of its records."""
    return _about(_records(context, child))


def _consents(context: Context, records: list[Resource]) -> list[Resource]:
    _, found = find(context, "Consent", f"{_about(records)}&status=active", MANY)
    return [decode(each.body) for each in found]


def _records(context: Context, child: Resource) -> list[Resource]:
    """Return all records of a child: those that were merged into it keep what was said of them."""
    known: dict[str, Resource] = {child["id"]: child}
    wanted = [child]
    while wanted:
        one = wanted.pop()
        _, found = find(context, "Patient", f"link=Patient/{one['id']}", MANY)
        replaced: list[Resource] = [decode(each.body) for each in found]
        replaced = [each for each in replaced if _is_replaced_by(each, one)]
        named = (
            e["other"].get("reference", "") for e in one.get("link", ()) if e["type"] == "replaces"
        )
        for reference in named:
            kind, _, key = reference.partition("/")
            stored = store.current(context.database, kind, key)
            replaced += [decode(stored.body)] if stored and not stored.deleted else []
        for each in replaced:
            if each["id"] not in known:
                known[each["id"]] = each
                wanted.append(each)
    return list(known.values())


def _is_replaced_by(patient: Resource, other: Resource) -> bool:
    return any(
        link["type"] == "replaced-by" and link["other"].get("reference") == f"Patient/{other['id']}"
        for link in patient.get("link", ())
    )


def _about(records: list[Resource]) -> str:
    """Return the criteria of what is about any of a child's records."""
    places = (f"Patient/{each['id']}" for each in records)
    return f"patient={','.join(places)}"


def cancelled(task: Resource, reason: str, now: str) -> Resource:
    """Return the transaction entry that stops a survey, if its Task is as it was read."""
    coding = {"system": f"{CSOR}/CodeSystem/survey-stop", "code": reason}
    changed = {
        **task,
        "status": "cancelled",
        "statusReason": {"coding": [coding]},
        "lastModified": now,
    }
    return update(changed, task["meta"]["versionId"])


def update(resource: Resource, version: str) -> Resource:
    """Return the transaction entry of the next version of a resource, if `version` is the newest."""
    url = f"{resource['resourceType']}/{resource['id']}"
    request = {"method": "PUT", "url": url, "ifMatch": f'W/"{version}"'}
    return {"resource": resource, "request": request}


def streams_of(consent: Resource) -> set[str]:
    """Return the data streams that a Consent decides about."""
    codings = (
        coding
        for code in consent.get("provision", {}).get("code", ())
        for coding in code.get("coding", ())
    )
    return {each["code"] for each in codings if each.get("system") == STREAM and "code" in each}


def preferred_language(person: Resource) -> str:
    """Return the language that a person is written to in: what they prefer, or English."""
    listed = person.get("communication", ())
    preferred = [each for each in listed if each.get("preferred")] or list(listed)
    codes = [c.get("code", "") for each in preferred for c in each["language"].get("coding", ())]
    return next((code.partition("-")[0] for code in codes if code), "en")


def _objects(context: Context, consent: Resource) -> bool:
    """Tell whether a Consent denies what parents report, now."""
    provision = consent.get("provision", {})
    if provision.get("type") != "deny" or PARENT_REPORTED not in streams_of(consent):
        return False
    now, period = instant(context.now()), provision.get("period", {})
    end = period.get("end", now)
    return bool(end >= now[: len(end)])
