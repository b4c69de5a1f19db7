"""Inputs for a target without a fuzzer: those that are kept, and random ones, always the same."""

from collections.abc import Iterator
from random import Random

from tests.fuzz.catalogue import kept

_LONGEST = 200


def inputs(name: str, count: int) -> Iterator[bytes]:
    known = [file.read_bytes() for file in kept(name)]
    yield from known
    random = Random(name)
    for number in range(count):
        if number % 3:
            yield random.randbytes(random.randrange(_LONGEST))
        else:
            yield _changed(random, bytearray(random.choice(known)))


def _changed(random: Random, data: bytearray) -> bytes:
    for _ in range(random.randint(1, 3)):
        place = random.randint(0, len(data))
        data[place : place + random.randrange(3)] = random.randbytes(random.randrange(3))
    return bytes(data)
