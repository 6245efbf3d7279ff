"""Bring a database to the newest schema, with Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config


def migrate(path: Path) -> None:
    """Apply every migration that the SQLite file lacks; creates the file."""
    command.upgrade(configuration(path), "head")


def configuration(path: Path) -> Config:
    """Build Alembic's configuration for one SQLite file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("sqlalchemy.url", f"sqlite:///{path}")
    return config
