"""Looks for the dearest request: changes one, keeps what costs more, and begins anew when that leads no further.

The dearest of each family is kept in `.cache/fuzz/cost`, and the next search begins with it.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from tests.fuzz.cost.scale import MOST_VERIFICATIONS, Scale
from tests.fuzz.cost.shapes import ORDINARY, PIECES, SERVERS, Run, Shape
from tests.fuzz.runs import FINDINGS, HOME, ROOT

# By what is changed most. With each, now and then, all other parts.
FAMILIES: dict[str, tuple[str, ...]] = {
    "authorization": ("token", "scheme"),
    "target": ("path", "htu"),
    "authority": ("origin", "host"),
    "claims": ("claims", "list", "text", "nonce", "method"),
    "header": ("header", "jwk"),
    "garbage": ("garbage", "signature"),
    "fields": ("fields", "hops"),
    "everything": tuple(PIECES),
}

_DEAREST = HOME / "cost"
_COUNTS = (1, 2, 15, 16, 17, 31, 32, 60, 64, 65, 100, 255, 256, 300, 682, 1000, 3000, 8000, 16384)
_MOST_RUNS = 4
_OTHER_PART = 0.2
_PATIENCE = 60
_FIRST_ROUNDS, _ROUNDS, _LAST_ROUNDS = 2, 10, 300


@dataclass(frozen=True)
class Found:
    """The dearest request of a family."""

    family: str
    tried: int
    verifications: float
    shape: Shape


def explore(seconds: float, seed: int) -> int:
    """All families in turn; 1 when a request costs more than `MOST_VERIFICATIONS`."""
    print(f"fuzz: cost: seed {seed}", flush=True)
    scale, found = Scale(), []
    for family in FAMILIES:
        found.append(climb(family, Random(f"{seed} {family}"), scale, seconds / len(FAMILIES)))
        print(f"fuzz: cost: {family}: {found[-1].verifications:.2f}", flush=True)
    print(f"\n{'family':14} {'requests':>9} {'verifications':>13}  findings")
    for each in found:
        finding = keep(each) if each.verifications > MOST_VERIFICATIONS else None
        print(f"{each.family:14} {each.tried:9,} {each.verifications:13.2f}  {finding or 'none'}")
    return int(any(each.verifications > MOST_VERIFICATIONS for each in found))


def climb(family: str, random: Random, scale: Scale, seconds: float) -> Found:
    until, tried, idle = time.monotonic() + seconds, 0, 0
    known = _DEAREST / f"{family}.json"
    here = Shape.loads(known.read_text("utf-8")) if known.exists() else ORDINARY
    height = scale.weigh(here, rounds=_ROUNDS)
    dearest = Found(family, 0, height, here)
    while time.monotonic() < until:
        tried, idle = tried + 1, idle + 1
        there = changed(here, family, random)
        # Weighed again when it seems to be more: mostly the machine was busy.
        if scale.weigh(there, rounds=_FIRST_ROUNDS) > height and (found := scale.weigh(there, rounds=_ROUNDS)) > height:
            here, height, idle = there, found, 0
        if height > dearest.verifications:
            dearest = Found(family, tried, height, here)
        if idle > _PATIENCE:
            here, height, idle = ORDINARY, 0.0, 0
    _DEAREST.mkdir(parents=True, exist_ok=True)
    known.write_text(dearest.shape.dumps(), "utf-8")
    return replace(dearest, tried=tried, verifications=scale.weigh(dearest.shape, rounds=_LAST_ROUNDS))


def changed(shape: Shape, family: str, random: Random) -> Shape:
    if random.random() < _OTHER_PART / 4:
        return replace(shape, server=random.choice(tuple(SERVERS)), rsa=random.random() < _OTHER_PART)
    part = random.choice(tuple(PIECES) if random.random() < _OTHER_PART else FAMILIES[family])
    runs = _changed_runs(list(shape.parts.get(part, ())), part, random)
    others = {name: kept for name, kept in shape.parts.items() if name != part}
    return replace(shape, parts={**others, part: tuple(runs)} if runs else others)


def _changed_runs(runs: list[Run], part: str, random: Random) -> list[Run]:
    place = random.randrange(len(runs) + 1)
    if place == len(runs) and len(runs) < _MOST_RUNS:
        return [*runs, (random.choice(PIECES[part]), random.choice(_COUNTS))]
    place %= len(runs)
    piece, count = runs[place]
    how = random.randrange(4)
    if how == 0:
        return runs[:place] + runs[place + 1 :]
    if how == 1:
        runs[place] = (random.choice(PIECES[part]), count)
    else:
        runs[place] = (piece, max(1, random.choice((count // 2, count * 2, count - 1, count + 1, *_COUNTS))))
    return runs


def keep(found: Found) -> str:
    """Where it is, and how to see it again."""
    FINDINGS.mkdir(parents=True, exist_ok=True)
    text = found.shape.dumps()
    file = FINDINGS / f"cost-{found.family}-{abs(hash(text)):x}.json"
    file.write_text(text, "utf-8")
    return f"python -m tests.fuzz --cost --repeat {file.relative_to(ROOT)}"


def repeat(file: Path) -> int:
    verifications = Scale().weigh(Shape.loads(file.read_text("utf-8")), rounds=_LAST_ROUNDS)
    print(f"fuzz: cost: {verifications:.2f} verifications")
    return int(verifications > MOST_VERIFICATIONS)
