"""Reading a PostgreSQL database from outside of the event loop: one connection, any thread."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.databases import new_database, opened


def test_threads_that_read_at_once_are_each_answered(tmp_path: Path) -> None:
    with opened(new_database("postgresql", tmp_path)) as database, ThreadPoolExecutor(8) as threads:

        def answers(asked: int) -> list[bool]:
            return [database.read("SELECT ?", (f"{asked}",))[0][0] == f"{asked}" for _ in range(20)]

        assert all(all(each) for each in threads.map(answers, range(8)))
