"""Runs workers one after the other, watches them, and says what came of it."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.catalogue import CORPUS, DICTIONARY, ROOT, TARGETS
from tests.fuzz.worker import Statistics

HOME = ROOT / ".cache" / "fuzz"
FINDINGS = HOME / "findings"
_PROGRESS_SECONDS = 10
_SHOWN_BYTES = 400


@dataclass(frozen=True)
class Result:
    """What came of one target."""

    target: str
    seconds: float
    statistics: Statistics
    finding: Path | None
    failed: bool

    def row(self) -> str:
        per_second = self.statistics.executions / self.seconds
        slowest = self.statistics.slowest * 1000
        outcome = "FINDING" if self.finding else "FAILED" if self.failed else "none"
        return (
            f"{self.target:14} {self.statistics.executions:12,} {self.seconds:9.1f} {per_second:10,.0f}"
            f" {slowest:11.1f}  {outcome}"
        )


def run(targets: list[str], limit: str) -> int:
    """Run every target, print the table; 1 when anything was found."""
    results = [run_one(target, limit) for target in targets]
    print(f"\n{'target':14} {'executions':>12} {'seconds':>9} {'per second':>10} {'slowest ms':>11}  findings")
    for result in results:
        print(result.row())
    executions = sum(result.statistics.executions for result in results)
    seconds = sum(result.seconds for result in results)
    print(f"{'in all':14} {executions:12,} {seconds:9.1f}", flush=True)
    return int(any(result.failed for result in results))


def run_one(target: str, limit: str) -> Result:
    corpus, statistics, log = HOME / "corpus" / target, HOME / f"{target}.statistics", HOME / f"{target}.log"
    corpus.mkdir(parents=True, exist_ok=True)
    FINDINGS.mkdir(exist_ok=True)
    Statistics().write(statistics)
    flags = (
        limit,
        f"-max_len={TARGETS[target]}",
        f"-dict={DICTIONARY}",
        f"-artifact_prefix={FINDINGS}/{target}-",
        "-timeout=10",
        "-rss_limit_mb=2048",
    )
    known = set(FINDINGS.iterdir())
    started = time.monotonic()
    status = watch(command(target, statistics, *flags, str(corpus), str(CORPUS / target)), log, target, statistics)
    new = sorted(set(FINDINGS.glob(f"{target}-*")) - known)
    result = Result(
        target, time.monotonic() - started, Statistics.read(statistics), new[0] if new else None, status != 0
    )
    if result.failed:
        tell(result, log)
    return result


def command(target: str, statistics: Path, *flags: str) -> list[str]:
    return [sys.executable, "-m", "tests.fuzz.worker", target, str(statistics), *flags]


def watch(arguments: list[str], log: Path, target: str, statistics: Path) -> int:
    """The worker's exit status; a line of progress now and then."""
    started = time.monotonic()
    with log.open("wb") as output, subprocess.Popen(arguments, cwd=ROOT, stdout=output, stderr=output) as worker:
        try:
            while True:
                try:
                    return worker.wait(_PROGRESS_SECONDS)
                except subprocess.TimeoutExpired:
                    executions, passed = Statistics.read(statistics).executions, time.monotonic() - started
                    print(f"fuzz: {target}: {executions:,} executions in {passed:.0f} s", flush=True)
        finally:
            worker.kill()


def tell(result: Result, log: Path) -> None:
    """What was found, where it is, and how to see it again."""
    text = log.read_text("utf-8", "replace")
    print(f"\nfuzz: {result.target}: {'a finding' if result.finding else 'the worker failed'}")
    print(text.partition("Uncaught Python exception")[2].partition("== ERROR")[0] or text[-4000:])
    if result.finding:
        data = result.finding.read_bytes()
        if len(data) <= _SHOWN_BYTES:
            print(f"The input is {data!r}")
        file = result.finding.relative_to(ROOT)
        print(
            f"It is kept in {file}; to see it again:\n  python -m tests.fuzz {result.target} --repeat {file}",
            flush=True,
        )
