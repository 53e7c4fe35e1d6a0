"""Many people, groups or contacts at once, from a CSV file with a line of column names."""

from __future__ import annotations

import csv
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO, TypeVar

import click

from openchange_py.addressbook.base import DirectoryError
from openchange_py.cli.people import DETAILS
from openchange_py.store.base import StoreError

F = TypeVar("F", bound=Callable[..., Any])

#: Columns that every command takes; what they say is what the options of that name say.
DETAIL_COLUMNS: Final = ("mail", "add_address", "hidden", "photo", *(name.replace("-", "_") for name, _, _ in DETAILS))
#: Several values of one cell are separated by it.
_SEPARATOR: Final = ";"
_LISTS: Final = frozenset({"add_address", "member", "owner"})
#: The option's name in the program where it is not the column's.
_PARAMETERS: Final = {"type": "kind"}
_YES, _NO = frozenset({"yes", "true", "1", "hidden"}), frozenset({"no", "false", "0", "listed"})
#: Characters: nobody's line is longer, and a file without line ends is not read as one.
_LONGEST_CELL: Final = 1 << 20


def bulk_options(function: F) -> F:
    """Give a command --csv and --json."""
    function = click.option("--json", "as_json", is_flag=True, help="With --csv: report as JSON.")(function)
    return click.option(
        "--csv",
        "csv_file",
        metavar="FILE",
        default=None,
        help="Do it for every line of a CSV file (- for standard input).",
    )(function)


def run_csv(
    path: str, key: str, columns: Sequence[str], perform: Callable[[dict[str, Any]], list[str]], as_json: bool
) -> None:
    """Do it line by line. A line that can't be done is told with its number, and the others go on; exit code 1 then."""
    with _opened(path) as file:
        rows = list(_rows(file, path, key, (*columns, *DETAIL_COLUMNS)))
    done: list[str] = []
    failed: list[dict[str, Any]] = []
    with click.progressbar(rows, label=f"{len(rows)} lines", file=sys.stderr, update_min_steps=10) as bar:
        for number, name, row in bar:
            try:
                done += perform(row)
            except (DirectoryError, StoreError, click.ClickException, OSError) as error:
                reason = error.format_message() if isinstance(error, click.ClickException) else str(error)
                failed.append({"line": number, key: name, "reason": reason})
    _tell(path, len(rows), done, failed, as_json)
    if failed:
        sys.exit(1)


def _tell(path: str, lines: int, done: list[str], failed: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"lines": lines, "done": done, "failed": failed}))
        return
    for line in done:
        click.echo(line)
    for failure in failed:
        words = {key: value for key, value in failure.items() if key not in ("line", "reason")}
        click.echo(f"{path}, line {failure['line']} ({', '.join(words.values())}): {failure['reason']}", err=True)
    click.echo(f"{lines - len(failed)} of {lines} lines done")


@contextmanager
def _opened(path: str) -> Iterator[TextIO]:
    """UTF-8, with or without the mark that spreadsheets write."""
    if path == "-":
        yield sys.stdin
        return
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
            # Told whether it has passwords or not: nobody keeps them in two kinds of file.
            click.echo(f"ocpy: warning: others on this machine may read {path}", err=True)
        yield file


def _rows(file: TextIO, path: str, key: str, columns: Sequence[str]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Line number, name and the values that are there, as the options' values are."""
    csv.field_size_limit(_LONGEST_CELL)
    try:
        reader = csv.DictReader(file, strict=True)
        names = [name.strip().casefold().replace("-", "_").replace(" ", "_") for name in reader.fieldnames or ()]
        _check_columns(path, names, key, columns)
        reader.fieldnames = names
        for row in reader:
            yield _row(path, reader.line_num, row, key)
    except (csv.Error, UnicodeDecodeError) as error:
        raise click.ClickException(f"{path}: no CSV file in UTF-8: {error}") from None


def _check_columns(path: str, names: Sequence[str], key: str, columns: Sequence[str]) -> None:
    unknown = [name for name in names if name not in columns]
    if key not in names or unknown or len(set(names)) < len(names):
        told = f"unknown: {', '.join(unknown)}" if unknown else f"each once, {key} among them"
        raise click.ClickException(f"{path}: the first line names the columns ({told}): {', '.join(columns)}")


def _row(path: str, number: int, row: dict[str | Any, Any], key: str) -> tuple[int, str, dict[str, Any]]:
    if None in row or None in row.values():
        raise click.ClickException(f"{path}, line {number}: not as many cells as there are columns")
    values = {_PARAMETERS.get(name, name): _value(path, number, name, text) for name, text in row.items() if text}
    name = values.get(key)
    if not isinstance(name, str):
        raise click.ClickException(f"{path}, line {number}: no {key}")
    return number, name, values


def _value(path: str, number: int, name: str, text: str) -> Any:
    """What the option of that name would have given."""
    if name in _LISTS:
        return tuple(part.strip() for part in text.split(_SEPARATOR) if part.strip())
    if name == "capacity":
        if not text.isascii() or not text.isdigit() or len(text) > 6:
            raise click.ClickException(f"{path}, line {number}: {name} is a number, not {text!r}")
        return int(text)
    if name in ("hidden", "security"):
        if text.casefold() not in _YES | _NO:
            raise click.ClickException(f"{path}, line {number}: {name} is yes or no, not {text!r}")
        return text.casefold() in _YES
    return text
