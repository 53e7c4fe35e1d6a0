"""`./setup/fuzz [TARGET ...] [--seconds N] [--corpus DIR] [--list]`: feeds targets with what atheris thinks up.

Each target runs in a process of its own. An input on which one fails is kept in tests/data/fuzzed/TARGET/ and the
exit code is 1; `tests/fuzz/test_fuzzed.py` replays what is there from then on.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FUZZED = ROOT / "tests" / "data" / "fuzzed"
#: Seconds that one input may take, and megabytes that the process may use.
SLOWEST, MEMORY = 20, 2048


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="./setup/fuzz", description="Fuzzes targets by name; all without one.")
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("--corpus", type=Path, help="keep what was found interesting below this folder")
    parser.add_argument("--list", action="store_true", help="show the targets there are")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        return _fuzz(options.targets[0], options.seconds, options.corpus)
    from tests.fuzz.targets import TARGETS

    if options.list:
        for found in TARGETS.values():
            print(f"{found.name:16} {found.about}")
        return 0
    if unknown := [name for name in options.targets if name not in TARGETS]:
        print(f"error: no target {', '.join(unknown)}; there are: {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    return max(_in_process(name, options) for name in options.targets or TARGETS)


def _in_process(name: str, options: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(prefix="ocpy-corpus-") as temporary:
        corpus = (options.corpus or Path(temporary)) / name
        corpus.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, __file__, name, "--one", "--seconds", str(options.seconds), "--corpus", str(corpus)]
        print(f"{name}: {options.seconds} s", flush=True)
        failed = subprocess.run(command, cwd=ROOT, check=False).returncode != 0
    with contextlib.suppress(OSError):
        (FUZZED / name).rmdir()  # empty: nothing was found, now or before
    print(f"{name}: {'FAILED' if failed else 'nothing found'}", flush=True)
    return int(failed)


def _fuzz(name: str, seconds: int, corpus: Path) -> int:
    import atheris

    with atheris.instrument_imports(include=["openchange_py"]):
        from tests.fuzz.targets import TARGETS
    logging.disable(logging.CRITICAL)
    found = TARGETS[name]
    try:
        seeds = found.seeds()
    except pytest.skip.Exception as skipped:
        print(f"{name}: SKIPPED, {skipped}", flush=True)
        return 0
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed[: found.longest])
    kept = FUZZED / name
    kept.mkdir(parents=True, exist_ok=True)
    arguments = [
        sys.argv[0],
        str(corpus),
        *([str(kept)] if any(kept.iterdir()) else []),
        f"-max_total_time={seconds}",
        f"-max_len={found.longest}",
        f"-artifact_prefix={kept}/",
        f"-timeout={SLOWEST}",
        f"-rss_limit_mb={MEMORY}",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup(arguments, found.run)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    # This folder is on the path as the script's; its files are modules of `tests.fuzz` and nothing else.
    sys.path[0] = str(ROOT)
    sys.exit(main())
