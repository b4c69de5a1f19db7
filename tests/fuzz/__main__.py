"""Coverage-guided fuzzing of everything that reads what callers send.

    python -m tests.fuzz                        every target for 10 seconds each
    python -m tests.fuzz proof htu --seconds 600
    python -m tests.fuzz --executions 1000000   every target so many times
    python -m tests.fuzz proof --repeat FILE    one input, without the fuzzer: shows what is wrong with it
    python -m tests.fuzz --merge                keep in the repository what new inputs reach
    python -m tests.fuzz --cost --seconds 600   no atheris: look for requests that cost much before their signature

It runs inside `.venv` (`python3 -m tests --setup-only` makes it), one process per target, one after the other, and ends
with a table. A finding is an exception that nothing documents, an input for which the library takes more than 100 ms,
or a false acceptance; each target says by what it judges. A finding is kept in a file, and the status is 1.

With `--cost` a finding is a request that nobody has signed, and that costs more than two verifications of a signature.
It is looked for by chance, from a seed that is printed; `--seed` takes it, `--seconds` is for all kinds of requests.

atheris has wheels for CPython 3.11 to 3.14 on Linux x86_64. Elsewhere nothing can be fuzzed: the command says so, and
its status is 2, or 0 with `--where-possible`.

What was reached before is kept in `.cache/fuzz` and taken up again; `tests/fuzz/corpus` has a small selection, which
the tests try everywhere, without atheris too.
"""

import argparse
import random
import sys
from pathlib import Path

from tests.fuzz import merging, runs
from tests.fuzz.availability import MissingError, NoWheelError, require_atheris
from tests.fuzz.catalogue import TARGETS, load
from tests.fuzz.cost import climb
from tests.fuzz.worker import check_time

USAGE = 2


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    targets = options.targets or list(TARGETS)
    if options.cost:
        seed = random.randrange(10**6) if options.seed is None else options.seed
        return climb.repeat(options.repeat) if options.repeat else climb.explore(options.seconds, seed)
    if options.repeat:
        return repeat(targets, options.repeat)
    try:
        require_atheris()
    except NoWheelError as error:
        print(f"fuzz: {error}")
        return 0 if options.where_possible else USAGE
    except MissingError as error:
        print(f"fuzz: {error}")
        return USAGE
    if options.merge:
        merging.merge(targets)
        return 0
    limit = f"-runs={options.executions}" if options.executions else f"-max_total_time={options.seconds}"
    return runs.run(targets, limit)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Coverage-guided fuzzing.")
    parser.add_argument("targets", nargs="*", metavar="target", choices=[[], *TARGETS], help=", ".join(TARGETS))
    how_long = parser.add_mutually_exclusive_group()
    how_long.add_argument("--executions", type=int, metavar="N", help="of each target")
    how_long.add_argument("--seconds", type=int, default=10, metavar="S", help="for each target")
    parser.add_argument("--repeat", type=Path, metavar="FILE", help="try one input with one target")
    parser.add_argument("--cost", action="store_true", help="look for expensive requests instead")
    parser.add_argument("--seed", type=int, metavar="S", help="of --cost")
    parser.add_argument("--merge", action="store_true", help="renew tests/fuzz/corpus")
    parser.add_argument("--where-possible", action="store_true", help="no error where atheris has no wheel")
    return parser


def repeat(targets: list[str], file: Path) -> int:
    if len(targets) != 1:
        print("fuzz: --repeat needs the name of one target")
        return USAGE
    taken = check_time(load(targets[0]), file.read_bytes())
    print(f"fuzz: {targets[0]}: nothing found, {taken * 1000:.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
