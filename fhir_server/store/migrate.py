"""Bring a database to the newest schema, with Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config


def migrate(url: str) -> None:
    """Apply every migration that the database at an SQLAlchemy URL lacks; creates an SQLite file."""
    command.upgrade(configuration(url), "head")


def configuration(url: str) -> Config:
    """Build Alembic's configuration for one database."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config
