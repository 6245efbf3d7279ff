"""What a person sees meanwhile: a bar on a terminal, a line every five seconds elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from fhir_server.simulate.tally import Summary

_LINE_EVERY = 5.0


@contextmanager
def shown(console: Console) -> Iterator[Callable[[Summary], None]]:
    """Yield what reports the counts on a console."""
    if console.is_terminal:
        with _bar(console) as report:
            yield report
    else:
        yield _lines(console)


def _words(summary: Summary) -> str:
    rate = summary.answered / summary.seconds if summary.seconds else 0.0
    return (
        f"{summary.answered} answered, {summary.notes} notes, {summary.surveys} surveys, "
        f"{summary.refused} refused, {rate:.0f}/s"
    )


@contextmanager
def _bar(console: Console) -> Iterator[Callable[[Summary], None]]:
    columns = (
        TextColumn("Simulating"),
        BarColumn(),
        TextColumn("{task.fields[words]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("simulate", total=None, words="")

        def report(summary: Summary) -> None:
            done = summary.answered + summary.skipped
            total = max(summary.expected, done)
            progress.update(task, completed=done, total=total, words=_words(summary))

        yield report


def _lines(console: Console) -> Callable[[Summary], None]:
    due = 0.0

    def report(summary: Summary) -> None:
        nonlocal due
        if summary.seconds >= due:
            due = summary.seconds + _LINE_EVERY
            console.print(f"Simulating: {_words(summary)}, {summary.seconds:.0f} s")

    return report
