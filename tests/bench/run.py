"""`./setup/bench [NAME ...] [--json] [--list] [--quick]`: runs benchmarks and prints what they measured.

One file beside this one per benchmark: `run(quick)` gives its `Report`, the first line of its docstring says what
it measures. Only figures of one run can be compared with each other: another run has another machine, or the same
machine with other neighbours.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def available() -> dict[str, str]:
    """The benchmarks by name, with what each measures."""
    files = (path for path in sorted(FOLDER.glob("*.py")) if path.stem != Path(__file__).stem)
    return {path.stem: _first_line(path) for path in files}


def _first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n")[0]


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
    }


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; 2 for a name that is not there."""
    parser = argparse.ArgumentParser(prog="./setup/bench", description="Runs benchmarks by name; all without one.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--list", action="store_true", help="show the benchmarks there are")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, measures nothing")
    options = parser.parse_args(arguments)
    known = available()
    if options.list:
        for name, about in known.items():
            print(f"{name:10} {about}")
        return 0
    if unknown := [name for name in options.names if name not in known]:
        print(f"error: no benchmark {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    return _run(options.names or list(known), as_json=options.json, quick=options.quick)


def _run(names: list[str], *, as_json: bool, quick: bool) -> int:
    from openchange_py.cli.serve import settle_memory

    on = machine()
    reports = {}
    if not quick:
        settle_memory()  # as `ocpy serve` does
    if not as_json:
        print(f"Python {on['python']}, {on['cores']} cores, load {on['load']}")
    for name in names:
        reports[name] = report = importlib.import_module(f"tests.bench.{name}").run(quick)
        if not as_json:
            print(f"\n{report}", flush=True)
    if as_json:
        print(json.dumps({"machine": on, "quick": quick, **{name: r.as_json() for name, r in reports.items()}}))
    return 0


if __name__ == "__main__":
    # This folder is on the path as the script's; its files are modules of `tests.bench` and nothing else.
    sys.path[0] = str(FOLDER.parents[1])
    sys.exit(main())
