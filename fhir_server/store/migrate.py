"""Bring a database to the newest schema, with Alembic: imported only by whoever migrates."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alembic.config import Config


def migrate(url: str, to: str = "head") -> None:
    """Apply every migration, up to one, that the database at an SQLAlchemy URL lacks.

    Creates an SQLite file. Raises ValueError for a revision that there is not.
    """
    from alembic import command  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    try:
        command.upgrade(configuration(url), to)
    except CommandError as unknown:
        raise ValueError(f"{to} cannot be migrated to: {unknown}") from None


def revisions(url: str) -> tuple[str | None, str]:
    """Return the revision of the database at an SQLAlchemy URL, None for an empty one, and the newest."""
    from alembic.runtime.environment import EnvironmentContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = configuration(url)
    script = ScriptDirectory.from_config(config)
    found: list[str] = []

    def look(revision: Any, _context: Any) -> list[Any]:
        found.extend(revision)
        return []

    with EnvironmentContext(config, script, fn=look, dont_mutate=True):
        script.run_env()
    return (found[0] if found else None), newest()


def newest() -> str:
    """Return the newest revision that there is."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    return str(ScriptDirectory.from_config(configuration("")).get_current_head())


def configuration(url: str) -> "Config":
    """Build Alembic's configuration for one database."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config
