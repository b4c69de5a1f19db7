"""Prints the demo: on terminals of any width, to a file, without colors."""

import codecs
import io
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dpop_asgi.cli.demo import words
from dpop_asgi.cli.demo.steps import Step

# From this width on, the table has room for the server's reasons.
_WIDE = 124
_TICK_SECONDS = 0.1
_PLAIN = {"→": ">", "←": "<", "…": "~"}


def survive_poor_encodings() -> None:
    """If the output's encoding lacks a character, print another one of the same width instead of failing."""
    codecs.register_error("dpop_asgi.plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="dpop_asgi.plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return _PLAIN.get(error.object[error.start], "?"), error.start + 1


def error(message: str) -> None:
    """Print why the command cannot continue."""
    console = Console(stderr=True)
    # A terminal would break lines within words; programs get one line.
    console.print(Text.assemble(("dpop-asgi: ", "bold red"), message), soft_wrap=not console.is_terminal)


class Screen:
    """Prints the walkthrough.

    Args:
        console: the console to print to; standard output by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._steps = 0

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Show a spinner, on a terminal."""
        with self._console.status(Text(what, "dim")):
            yield

    def opening(self, facts: Mapping[str, str]) -> None:
        """Print who takes part."""
        self._gap()
        self._print(_fields({name: Text(fact) for name, fact in facts.items()}), 1)

    def wait(self, until: float, why: str) -> None:
        """Wait until a time, in seconds since the epoch, and print why."""
        seconds = until - time.time()
        if seconds <= 0:
            return
        self._gap()
        self._print(Text(f"Waiting {seconds:.1f} s, {why} …", "italic dim"), 4)
        with self._console.status(Text()) as status:
            while (left := until - time.time()) > 0:
                status.update(Text(f"{left:.1f} s", "dim"))
                time.sleep(min(left, _TICK_SECONDS))

    def step(self, step: Step) -> None:
        """Print a request and its response."""
        self._steps += 1
        self._gap()
        self._print(Text(f"{self._steps:2}  {step.title}", "bold"))
        self._print(Text(step.sentence, "italic"), 4)
        self._print(Text.assemble(("→ ", "blue"), (step.seen.request_line, "bold blue")), 4)
        self._print(_fields(words.request_headers(step)), 6)
        self._print(words.status_line(step.seen), 4)
        self._print(_fields(words.response_headers(step)), 6)
        if not step.agrees:
            self._print(Text(f"Expected: {words.expected(step, full=True)}", "bold red"), 4)

    def table(self, steps: Sequence[Step]) -> None:
        """Print expected and actual responses side by side."""
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
        table.add_column("", justify="right")
        for name in ("step", "expected", "actual", "match"):
            table.add_column(name, overflow="fold")
        for number, step in enumerate(steps, 1):
            full = self._console.width >= _WIDE or not step.agrees
            agree = Text("yes", "green") if step.agrees else Text("no", "bold red")
            seen = Text(words.seen(step, full=full), words.colour(step.seen.status))
            table.add_row(str(number), step.title, words.expected(step, full=full), seen, agree)
        self._gap()
        self._print(table)

    def verdict(self, steps: Sequence[Step], seconds: float) -> None:
        """Print whether all responses are as expected."""
        wrong = sum(not step.agrees for step in steps)
        result = f"{wrong} of {len(steps)} responses are not" if wrong else f"All {len(steps)} responses are"
        text = (f"{result} as expected.", "bold red" if wrong else "bold green")
        self._gap()
        self._print(Text.assemble(text, (f" That took {seconds:.1f} s.", "dim")))

    def say(self, sentence: str) -> None:
        """Print a sentence between commands to paste."""
        self._gap()
        self._print(Text(sentence, "italic"))

    def command(self, text: str) -> None:
        """Print something to copy: never wrapped, never indented."""
        self._console.print(Text(text, "bold"), soft_wrap=True)

    def log(self, text: str) -> None:
        """Print lines of the server's log, without the reason in brackets."""
        for line in text.splitlines():
            self._console.print(Text(re.sub(r"^\[[\w-]+\] ", "", line), "dim"), soft_wrap=True)

    def _gap(self) -> None:
        self._console.print()

    def _print(self, renderable: RenderableType, indent: int = 0) -> None:
        self._console.print(Padding(renderable, (0, 0, 0, indent), expand=False))


def _fields(fields: Mapping[str, Text]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="cyan", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in fields.items():
        grid.add_row(name, value)
    return grid
