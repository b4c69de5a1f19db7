"""Which targets there are. Imports nothing of the library: a worker does that itself, instrumented."""

import asyncio
import atexit
import importlib
from collections.abc import Callable, Coroutine, Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).with_name("corpus")
DICTIONARY = Path(__file__).with_name("words.dict")

Target = Callable[[bytes], None]

# What each is fed with at most, in bytes: enough to pass every limit on sizes.
TARGETS = {
    "credentials": 4096,
    "encoding": 16384,
    "htu": 4096,
    "target_uri": 4096,
    "token": 4096,
    "introspection": 4096,
    "proof": 9000,
    "proof_signed": 4096,
    "proof_changed": 256,
    "middleware": 1024,
}


class FindingError(AssertionError):
    """The library did what it must not do."""


def load(name: str) -> Target:
    """The function that tries one input; everything that it raises is a finding."""
    make: Callable[[], Target] = importlib.import_module(f"tests.fuzz.targets.{name}").make
    return make()


def kept(name: str) -> list[Path]:
    """The inputs that the repository keeps for a target."""
    return sorted((CORPUS / name).iterdir())


def inputs(name: str, count: int) -> Iterator[bytes]:
    """What a target is fed with without a fuzzer: what is kept, and random inputs, always the same."""
    known = [file.read_bytes() for file in kept(name)]
    yield from known
    random = Random(name)
    for number in range(count):
        if number % 3:
            yield random.randbytes(random.randrange(200))
        else:
            yield _changed(random, bytearray(random.choice(known)))


def _changed(random: Random, data: bytearray) -> bytes:
    for _ in range(random.randint(1, 3)):
        place = random.randint(0, len(data))
        data[place : place + random.randrange(3)] = random.randbytes(random.randrange(3))
    return bytes(data)


def demand(holds: object, what: str) -> None:
    if not holds:
        raise FindingError(what)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)
    return loop


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    """In one event loop for all inputs: to make one takes longer than most of them."""
    _loop().run_until_complete(coroutine)
