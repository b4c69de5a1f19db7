"""Keeps in the repository a small selection of inputs that together reach what is reached at all."""

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.catalogue import CORPUS, ROOT, TARGETS
from tests.fuzz.runs import HOME, command

# In all at most 200 files and 100 kB.
MOST_FILES = 200 // len(TARGETS)
MOST_BYTES = 100_000 // len(TARGETS)


def merge(targets: list[str]) -> None:
    for target in targets:
        with TemporaryDirectory() as folder:
            chosen = selected(target, Path(folder))
            kept = replace(CORPUS / target, chosen)
        print(f"fuzz: {target}: {len(kept)} inputs, {sum(map(len, kept)):,} bytes", flush=True)


def selected(target: str, folder: Path) -> list[Path]:
    """libFuzzer's choice: inputs that together have the coverage of all, those that add the most first."""
    known = [str(place) for place in (CORPUS / target, HOME / "corpus" / target) if place.is_dir()]
    flags = ("-set_cover_merge=1", f"-max_len={TARGETS[target]}", str(folder), *known)
    subprocess.run(
        command(target, folder.with_suffix(".statistics"), *flags), cwd=ROOT, check=True, capture_output=True
    )
    return sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns)


def replace(place: Path, chosen: list[Path]) -> list[bytes]:
    """Inputs whose names say what they are for were written by hand, and stay."""
    place.mkdir(exist_ok=True)
    by_hand = [file for file in place.iterdir() if "-" in file.name]
    for file in set(place.iterdir()) - set(by_hand):
        file.unlink()
    contents = [file.read_bytes() for file in by_hand]
    for file in chosen:
        data = file.read_bytes()
        fits = len(contents) < MOST_FILES and sum(map(len, contents)) + len(data) <= MOST_BYTES
        if fits and data not in contents:
            contents.append(data)
            shutil.copy(file, place / file.name)
    return contents
