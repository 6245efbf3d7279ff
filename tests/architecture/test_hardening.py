"""What a release is made of, and what its audits leave: no more than is explained."""

import json
import re
import subprocess
import tomllib
from collections import Counter

import pytest

from hardening import code, sbom, tools

LOCK = """\
alpha==1.2.3 \\
    --hash=sha256:{a} \\
    --hash=sha256:{b}
    # via csor (pyproject.toml)
beta==4.5 ; python_full_version < '3.12' \\
    --hash=sha256:{a}
""".format(a="a" * 64, b="b" * 64)
VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
print(JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read()) or "valid")
"""


class TestSbom:
    def test_each_pin_of_python_is_a_component_with_all_its_hashes(self) -> None:
        alpha, beta = sbom.python(LOCK)
        assert (alpha["purl"], [each["content"] for each in alpha["hashes"]]) == (
            "pkg:pypi/alpha@1.2.3",
            ["a" * 64, "b" * 64],
        )
        assert beta["properties"] == [
            {"name": "csor:python:marker", "value": "python_full_version < '3.12'"}
        ]

    def test_nothing_that_is_locked_is_left_out(self) -> None:
        listed = Counter(each["purl"].split(":")[1].split("/")[0] for each in self.components())
        lock = (tools.ROOT / "requirements.lock").read_text()
        packages = json.loads((tools.ROOT / "web" / "package-lock.json").read_text())["packages"]
        shipped = [p for place, p in packages.items() if place and not p.get("dev")]
        assert listed["pypi"] == len(re.findall(r"^\S+==", lock, re.MULTILINE)) > 20
        assert listed["npm"] == len([p for p in shipped if not p.get("devOptional")]) > 0

    def test_each_has_a_hash_and_a_reference_of_its_own(self) -> None:
        components = self.components()
        assert all(each["hashes"] for each in components)
        assert max(Counter(each["bom-ref"] for each in components).values()) == 1

    def test_the_same_locks_give_the_same_document(self) -> None:
        assert sbom.sbom() == sbom.sbom()

    @pytest.mark.slow
    def test_it_is_valid_by_cyclonedx_own_schema(self) -> None:
        done = subprocess.run(
            [tools.python(), "-c", VALIDATE],
            input=json.dumps(sbom.sbom()), capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.strip() == "valid"

    @staticmethod
    def components() -> list[sbom.Component]:
        found: list[sbom.Component] = sbom.sbom()["components"]
        return found


class TestCode:
    def test_what_is_found_is_what_is_explained(self) -> None:
        one, other = ("B301", "a.py"), ("B603", "b.py")
        assert not list(code.differences(Counter([one]), Counter([one])))
        (new,) = code.differences(Counter([one, other]), Counter([one]))
        assert "b.py: bandit finds B603 1 times, and 0 are explained" in new
        (gone,) = code.differences(Counter(), Counter([one]))
        assert "finds B301 0 times, and 1 are explained" in gone

    def test_every_exception_says_why(self) -> None:
        settings = tomllib.loads((tools.ROOT / "pyproject.toml").read_text())["tool"]["hardening"]
        for each in settings["bandit"]:
            assert len(each["why"]) > 20
            assert (tools.ROOT / each["file"]).is_file()
        assert all(len(why) > 20 for why in settings["elsewhere"].values())

    @pytest.mark.slow
    def test_bandit_finds_nothing_else(self) -> None:
        assert code.faults() == []
