"""Coverage-guided fuzzing of everything that reads what callers send.

    python -m tests.fuzz                        every target for 10 seconds each
    python -m tests.fuzz proof htu --seconds 600
    python -m tests.fuzz --executions 1000000   every target so many times
    python -m tests.fuzz proof --repeat FILE    one input, without the fuzzer: shows what is wrong with it

It runs inside `.venv` (`python3 -m tests --setup-only` makes it), one process per target, one after the other. A
finding is an exception that nothing documents, an input for which the library takes more than 100 ms, or a false
acceptance; each target says by what it judges. A finding is kept in a file, and the status is 1.

atheris has wheels for CPython 3.11 to 3.14 on Linux x86_64. Elsewhere nothing can be fuzzed: the command says so, and
its status is 2, or 0 with `--where-possible`.

What was reached before is kept in `.cache/fuzz` and taken up again; `tests/fuzz/corpus` has a small selection, which
the tests try everywhere, without atheris too. `python -m tests.fuzz.worker TARGET -merge=1 TO FROM` selects.
"""

import argparse
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

from tests.fuzz.catalogue import CORPUS, DICTIONARY, ROOT, TARGETS, load
from tests.fuzz.worker import check_time

HOME = ROOT / ".cache" / "fuzz"
FINDINGS = HOME / "findings"
USAGE = 2


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    targets = options.targets or list(TARGETS)
    if options.repeat:
        return repeat(targets, options.repeat)
    if importlib.util.find_spec("atheris") is None:
        print("fuzz: nothing was fuzzed: atheris is not installed. Where it has a wheel, CPython 3.11 to 3.14 on Linux")
        print("x86_64, run `python3 -m tests --setup-only`, then this inside .venv.")
        return 0 if options.where_possible else USAGE
    limit = f"-runs={options.executions}" if options.executions else f"-max_total_time={options.seconds}"
    return max([run(target, limit) for target in targets])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Coverage-guided fuzzing.")
    parser.add_argument("targets", nargs="*", metavar="target", choices=[[], *TARGETS], help=", ".join(TARGETS))
    how_long = parser.add_mutually_exclusive_group()
    how_long.add_argument("--executions", type=int, metavar="N", help="of each target")
    how_long.add_argument("--seconds", type=int, default=10, metavar="S", help="for each target")
    parser.add_argument("--repeat", type=Path, metavar="FILE", help="try one input, without the fuzzer")
    parser.add_argument("--where-possible", action="store_true", help="no error where there is no atheris")
    return parser


def repeat(targets: list[str], file: Path) -> int:
    for target in targets:
        taken = check_time(load(target), file.read_bytes())
        print(f"fuzz: {target}: nothing found, {taken * 1000:.1f} ms")
    return 0


def run(target: str, limit: str) -> int:
    """Run one target, and say what came of it; 1 when anything was found."""
    corpus = HOME / "corpus" / target
    for folder in (corpus, FINDINGS):
        folder.mkdir(parents=True, exist_ok=True)
    limits = (limit, f"-max_len={TARGETS[target]}", "-timeout=10", "-rss_limit_mb=2048")
    places = (f"-dict={DICTIONARY}", f"-artifact_prefix={FINDINGS}/{target}-", str(corpus), str(CORPUS / target))
    command = [sys.executable, "-m", "tests.fuzz.worker", target, *limits, *places]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", errors="replace", check=False)
    executions = re.search(r"Done (\d+) runs", ended.stderr)
    print(f"fuzz: {target}: {executions[1] if executions else 'an unknown number of'} executions", flush=True)
    if ended.returncode:
        tell(target, ended.stdout + ended.stderr)
    return int(ended.returncode != 0)


def tell(target: str, log: str) -> None:
    """What was found, where it is, and how to see it again."""
    print(log.partition("Uncaught Python exception")[2].partition("== ERROR")[0] or log[-4000:])
    if found := re.search(r"Test unit written to (\S+)", log):
        file = Path(found[1]).relative_to(ROOT)
        print(f"It is kept; to see it again:\n  python -m tests.fuzz {target} --repeat {file}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
