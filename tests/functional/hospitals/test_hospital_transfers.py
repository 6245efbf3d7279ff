"""Whose a child is when it is treated elsewhere, merged, or what is written of it is moved."""

from tests.support.hospitals import (
    NORTH,
    ODS,
    REGISTRY,
    SEALED,
    SOUTH,
    Asking,
    Ward,
    by_number,
    patient,
    place,
    post,
    visit,
    weight,
)


class TestATransfer:
    """Zoe is born in the north and operated on in the south."""

    def test_whoever_knows_a_number_learns_nothing_but_that_it_is_known(
        self, ask: Asking, zoe: dict[str, str]
    ) -> None:
        sent = [
            ask.send(SOUTH, patient("zoe")),
            ask(SOUTH, "POST", "/Patient", json=patient("zoe")["resource"]),
            ask(SOUTH, "POST", "/Patient", json=patient("zoe")["resource"],
                headers={"If-None-Exist": by_number("zoe").partition("?")[2]}),
            ask(SOUTH, "PUT", f"/{by_number('zoe')}", json=patient("zoe")["resource"]),
            ask(SOUTH, "POST", "/Observation", json=weight(by_number("zoe"))),
            ask.send(SOUTH, visit(by_number("zoe"), NORTH)),
            ask.send(SOUTH, post(weight(by_number("zoe"))), {**visit(by_number("mia"), SOUTH)}),
        ]  # fmt: skip
        assert [each.status_code for each in sent] == [403] * 7, [e.text for e in sent]
        assert all(zoe["child"].partition("/")[2] not in each.text for each in sent)
        assert ask.ids(SOUTH, f"/{by_number('zoe')}") == set()

    def test_a_patch_does_not_reach_who_is_known_by_a_number_alone(
        self, ask: Asking, zoe: dict[str, str]
    ) -> None:
        patch = [{"op": "test", "path": "/name/0/family", "value": SEALED}]
        kind = {"Content-Type": "application/json-patch+json"}
        asked = ask(SOUTH, "PATCH", f"/{by_number('zoe')}", json=patch, headers=kind)
        assert asked.status_code == 404

    def test_a_visit_shares_the_child_with_all_that_was_written_of_it(
        self, ask: Asking, zoe: dict[str, str]
    ) -> None:
        assert ask.get(SOUTH, f"/{zoe['weight']}").status_code == 404
        sent = ask.send(SOUTH, visit(by_number("zoe"), SOUTH))
        assert sent.status_code == 200, sent.text
        zoe["south"] = place(sent, 0)
        for who in (NORTH, SOUTH):
            for each in zoe.values():
                assert ask.get(who, f"/{each}").status_code == 200

    def test_each_writes_for_its_own_visits(self, ask: Asking, zoe: dict[str, str]) -> None:
        visit_of_the_north = ask.get(SOUTH, f"/{zoe['visit']}").json()
        changed = {**visit_of_the_north, "status": "cancelled"}
        assert ask(SOUTH, "PUT", f"/{zoe['visit']}", json=changed).status_code == 403
        of_it = weight(zoe["child"], encounter={"reference": zoe["visit"]})
        assert ask(SOUTH, "POST", "/Observation", json=of_it).status_code == 403
        of_its_own = weight(zoe["child"], encounter={"reference": zoe["south"]})
        assert ask(SOUTH, "POST", "/Observation", json=of_its_own).status_code == 201
        provider = {"serviceProvider": visit_of_the_north["serviceProvider"]}
        assert ask.send(SOUTH, visit(zoe["child"], SOUTH, **provider)).status_code == 403

    def test_a_visit_that_was_entered_in_error_gives_the_child_back(
        self, ask: Asking, zoe: dict[str, str]
    ) -> None:
        wrong = {**ask.get(SOUTH, f"/{zoe['south']}").json(), "status": "entered-in-error"}
        assert ask(SOUTH, "PUT", f"/{zoe['south']}", json=wrong).status_code == 200
        assert ask.get(SOUTH, f"/{zoe['child']}").status_code == 404
        assert ask.get(SOUTH, f"/{zoe['south']}/_history").status_code == 404
        assert ask.get(NORTH, f"/{zoe['south']}").status_code == 200


def test_a_child_is_not_taken_by_a_link(ask: Asking, ward: Ward) -> None:
    for other in (ward.tom, by_number("tom")):
        link = [{"other": {"reference": other}, "type": "seealso"}]
        mine = {**ask.get(NORTH, f"/{ward.mia}").json(), "link": link}
        assert ask(NORTH, "PUT", f"/{ward.mia}", json=mine).status_code in (403, 422)
    assert ask.get(NORTH, f"/{ward.tom}").status_code == 404


def test_records_of_one_child_that_were_merged_are_one_childs(ask: Asking, ward: Ward) -> None:
    patients = [
        ask(REGISTRY, "POST", "/Patient", json={"resourceType": "Patient"}).json() for _ in range(2)
    ]
    sites = {
        h: next(iter(ask.ids(REGISTRY, f"/Organization?identifier={ODS}|{h}")))
        for h in (NORTH, SOUTH)
    }
    for one, hospital in zip(patients, (NORTH, SOUTH), strict=True):
        provider = {"serviceProvider": {"reference": f"Organization/{sites[hospital]}"}}
        sent = ask.send(REGISTRY, visit(f"Patient/{one['id']}", hospital, **provider))
        assert sent.status_code == 200
    first, second = (f"Patient/{each['id']}" for each in patients)
    assert ask.get(NORTH, f"/{second}").status_code == 404
    link = [{"other": {"reference": second}, "type": "replaced-by"}]
    linked = ask(REGISTRY, "PUT", f"/{first}", json={**patients[0], "link": link})
    assert (
        ask.get(NORTH, f"/{second}").status_code == ask.get(SOUTH, f"/{first}").status_code == 200
    )
    alone = {key: value for key, value in linked.json().items() if key != "link"}
    assert ask(REGISTRY, "PUT", f"/{first}", json=alone).status_code == 200
    assert (
        ask.get(NORTH, f"/{second}").status_code == ask.get(SOUTH, f"/{first}").status_code == 404
    )


def test_what_was_filed_under_another_child_takes_its_history_out_of_sight(
    ask: Asking, ward: Ward
) -> None:
    """It was the north's by mistake: neither sees what was written of the other's child."""
    filed = ask(NORTH, "POST", "/Observation", json=weight(ward.mia)).json()
    where = f"Observation/{filed['id']}"
    told = {
        "resourceType": "Provenance", "recorded": "2024-05-01T00:00:00Z",
        "target": [{"reference": where}], "agent": [{"who": {"display": "Dr Quill"}}],
    }  # fmt: skip
    source = ask(NORTH, "POST", "/Provenance", json=told).json()
    right = {**filed, "subject": {"reference": ward.tom}}
    assert ask(REGISTRY, "PUT", f"/{where}", json=right).status_code == 200
    for url in (where, f"{where}/_history", f"{where}/_history/1", f"Provenance/{source['id']}"):
        assert ask.get(NORTH, f"/{url}").status_code == 404
    assert ask.get(SOUTH, f"/{where}/_history").json()["total"] == 1
    assert ask.get(SOUTH, f"/{where}/_history/1").status_code == 404
    assert ask.get(SOUTH, f"/Provenance/{source['id']}").status_code == 200
    assert ask.get(REGISTRY, f"/{where}/_history").json()["total"] == 2


def test_a_ward_is_its_hospitals_whichever_that_is(ask: Asking, ward: Ward) -> None:
    """An organisation that is part of a hospital has no code of its own."""
    north, south = (
        f"Organization/{next(iter(ask.ids(REGISTRY, f'/Organization?identifier={ODS}|{each}')))}"
        for each in (NORTH, SOUTH)
    )
    told = {"resourceType": "Organization", "name": "Burns unit"}
    unit = {**told, "partOf": {"reference": north}}
    unit = ask(REGISTRY, "POST", "/Organization", json=unit).json()
    inner = {**told, "partOf": {"reference": f"Organization/{unit['id']}"}}
    inner = ask(REGISTRY, "POST", "/Organization", json=inner).json()
    child = {"fullUrl": "urn:uuid:u", **post({"resourceType": "Patient", "active": True})}
    provider = {"serviceProvider": {"reference": f"Organization/{inner['id']}"}}
    sent = ask.send(NORTH, child, visit("urn:uuid:u", NORTH, **provider))
    where = place(sent, 0)
    assert ask.get(NORTH, f"/{where}").status_code == 200
    moved = {**unit, "partOf": {"reference": south}}
    assert ask(REGISTRY, "PUT", f"/Organization/{unit['id']}", json=moved).status_code == 200
    assert [ask.get(who, f"/{where}").status_code for who in (NORTH, SOUTH)] == [404, 200]


def test_a_child_that_was_purged_is_nobodys(ask: Asking, ward: Ward) -> None:
    child = {"fullUrl": "urn:uuid:p", **post({"resourceType": "Patient", "active": True})}
    sent = ask.send(NORTH, child, visit("urn:uuid:p", NORTH))
    where, seen = place(sent, 0), place(sent, 1)
    before = ask.made.database.read("SELECT count(*) FROM custody")[0][0]
    purged = ask(REGISTRY, "POST", f"/{where}/$purge", json={
        "resourceType": "Parameters", "parameter": [{"name": "reason", "valueString": "asked"}],
    })  # fmt: skip
    assert purged.status_code == 200, purged.text
    assert ask.made.database.read("SELECT count(*) FROM custody")[0][0] == before - 1
    assert [ask.get(NORTH, f"/{each}").status_code for each in (where, seen)] == [404, 404]
