"""The EPR of the tests is a fair SMART server: npm's fhirclient, an app by others, works with it."""

import json
from urllib.parse import parse_qs, urlsplit

from tests.support.epr import Epr, opened
from tests.support.npm import install, run


def test_an_app_by_others_is_launched_by_it_and_reads_the_chart() -> None:
    install()
    with opened(Epr(redirects={"http://127.0.0.1/app"})) as epr:
        launches = [
            parse_qs(urlsplit(epr.launch("http://127.0.0.1/app")).query)["launch"][0]
            for _ in range(3)
        ]
        result = run("node", ["launch.mjs", epr.issuer, *launches], 30)
    assert result.returncode == 0, result.stderr
    said = json.loads(result.stdout)
    refused = said.pop("verifier"), said.pop("plain")
    assert said == {
        "patient": "Wren",
        "encounter": "stay",
        "user": "Practitioner/surgeon Demo-Surgeon",
        "conditions": ["hirschsprung", "mistake"],
        "context": [{"reference": "ServiceRequest/order"}],
        "refreshed": True,
    }
    assert "invalid_grant" in refused[0]
    assert "invalid_request" in refused[1]
