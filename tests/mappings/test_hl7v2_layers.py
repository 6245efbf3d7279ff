"""An engine is one stack of tables, compiled once and known by its version."""

from dataclasses import replace

import pytest

from fhir_server.app import context
from fhir_server.settings import Settings
from mappings.hl7v2 import MappingContext, own, parse, to_bundle
from mappings.hl7v2.tables import sources, version
from tests.mappings.messages import CONTEXT, SEGMENTS, TERMINOLOGY


class Told:
    """An engine that says what it was asked."""

    version = "0" * 12

    def to_bundle(self, message, context):
        return {"resourceType": "Bundle", "id": message.header.control_id}


def admission():
    return parse("\r".join(SEGMENTS.values()).encode())


def test_a_message_is_mapped_by_the_engine_of_its_context():
    assert to_bundle(admission(), MappingContext(TERMINOLOGY, engine=Told()))["id"] == "M1"


def test_without_one_by_the_tables_of_the_package():
    assert CONTEXT.engine is None
    theirs = MappingContext(TERMINOLOGY, engine=own())
    assert to_bundle(admission(), theirs) == to_bundle(admission(), CONTEXT)


def test_the_engine_of_the_package_is_compiled_once():
    assert own() is own()


def test_a_version_is_twelve_hex_digits_of_all_that_an_engine_is_made_from():
    files = {"a.csv": b"1", "b.csv": b"2"}
    assert version(files) == version(dict(reversed(files.items())))
    others = [files | {"a.csv": b"3"}, {"a.csv": b"1"}, {"a.csv": b"12", "b.csv": b""}]
    assert len({version(other) for other in [files, *others]}) == 4
    assert len(own().version) == 12
    assert int(own().version, 16)


@pytest.mark.parametrize(
    "name",
    [
        "messages/ADT_A01.csv",
        "segments/PID[Patient].csv",
        "datatypes/XPN[HumanName].csv",
        "events.csv",
    ],
)
def test_the_version_of_the_package_stands_for_each_of_its_tables(name):
    assert sources()[name]


def test_what_the_server_knows_keeps_its_engine_when_something_is_loaded(tmp_path):
    made = context(Settings(database=str(tmp_path / "csor.db")))
    try:
        before, made.knowledge._loaded = made.mapping, None
        assert made.knowledge.renew()
        assert made.mapping is not before
        assert made.mapping.engine is before.engine is own()
        assert replace(made.mapping, now="2026-11-23T09:00:00Z").engine is own()
    finally:
        made.database.close()
