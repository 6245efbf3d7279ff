"""The bill of materials: what the server and its pages are made of, from the lock files, as CycloneDX 1.6.

The same lock files give the same document. https://cyclonedx.org/docs/1.6/json/
"""

import base64
import json
import re
import tomllib
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from hardening.tools import ROOT

Component = dict[str, Any]

_PYTHON = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)(?: ; (.*?))? \\$")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_SPACE = uuid.UUID("9e1c2b0e-6d0f-5a52-9d5c-8c1b2f5f7a10")


def sbom() -> dict[str, Any]:
    """Return the bill of materials of requirements.lock and of the pages' package-lock.json."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    components = [*python((ROOT / "requirements.lock").read_text())]
    components += npm(json.loads((ROOT / "web" / "package-lock.json").read_text()))
    written = json.dumps(components, sort_keys=True)
    root = {"type": "application", "name": project["name"], "version": project["version"]}
    root |= {"bom-ref": "csor", "licenses": [{"license": {"id": project["license"]}}]}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_SPACE, written)}",
        "version": 1,
        "metadata": {"component": root},
        "components": components,
    }


def python(lock: str) -> Iterator[Component]:
    """Yield each pin of a requirements file, with the SHA-256 of each of its distributions."""
    component: Component = {}
    for line in lock.splitlines():
        if pin := _PYTHON.match(line):
            if component:
                yield component
            name, version, marker = pin.groups()
            component = _component(f"pkg:pypi/{name}@{version}", name, version)
            if marker:
                component["bom-ref"] += f"?{quote(marker, safe='')}"
                component["properties"] = [{"name": "csor:python:marker", "value": marker}]
        elif digest := _HASH.search(line):
            component["hashes"].append({"alg": "SHA-256", "content": digest[1]})
    if component:
        yield component


def npm(lock: dict[str, Any]) -> Iterator[Component]:
    """Yield each package of a package-lock.json that the pages are made of, not of tools to build them."""
    for place, package in sorted(lock["packages"].items()):
        if not place or package.get("dev") or package.get("devOptional"):
            continue
        whole = place.rpartition("node_modules/")[2]
        version = package["version"]
        component = _component(f"pkg:npm/{quote(whole)}@{version}", whole, version)
        component["bom-ref"] = f"{place}@{version}"
        algorithm, _, digest = package["integrity"].partition("-")
        content = base64.b64decode(digest).hex()
        component["hashes"].append({"alg": f"SHA-{algorithm[3:]}", "content": content})
        yield component


def _component(purl: str, name: str, version: str) -> Component:
    return {
        "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
        "hashes": [],
    }  # fmt: skip
