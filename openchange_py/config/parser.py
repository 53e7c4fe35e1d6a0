"""The syntax of smb.conf(5): lines to parameters, each with the place it came from.

    [section]
    name = value
    parametric:option = value
    include = FILE

Names compare without case and white space. A line that ends in a backslash goes on in the next one; lines
that begin with `#` or `;` are comments. What stands before the first section belongs to `[global]`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A line of a file."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class ConfigError(Exception):
    """The configuration can't be used. One problem per line, each with its file and line, for a person."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def problem(place: Place | Path | None, option: str | None, reason: str) -> str:
    """`FILE:LINE: option: reason`, of which what is not known is left out."""
    return ": ".join(str(part) for part in (place, option, reason) if part is not None)


@dataclasses.dataclass(frozen=True, slots=True)
class Parameter:
    """One `name = value`, the value as it stands."""

    section: str
    name: str
    value: str
    place: Place


#: Fills `%` substitutions into the name of an included file, with what was read so far.
Expand = Callable[[str, Place, list[Parameter]], str]


def same_name(name: str) -> str:
    """What two spellings of a section's or option's name have in common."""
    return re.sub(r"\s+", "", name).casefold()


def section_key(name: str) -> str:
    """The section's name to compare; `[globals]` is `[global]`, as in Samba."""
    key = same_name(name)
    return "global" if key == "globals" else key


def parse_file(path: Path, expand: Expand) -> list[Parameter]:
    """All parameters of a file and of what it includes, in order; `ConfigError`."""
    parameters: list[Parameter] = []
    _FileReader(parameters, expand).read(path, None)
    return parameters


class _FileReader:
    """Reads one file after the other into one list; a section stays open across an include."""

    def __init__(self, parameters: list[Parameter], expand: Expand) -> None:
        self._parameters = parameters
        self._expand = expand
        self._section = "global"
        self._open: list[Path] = []

    def read(self, path: Path, included_at: Place | None) -> None:
        real = path.resolve()
        if real in self._open:
            raise ConfigError(problem(included_at, "include", f"{path} includes itself"))
        self._open.append(real)
        for number, line in _logical_lines(_text_of(path, included_at)):
            self._take_line(line, Place(path, number))
        self._open.pop()

    def _take_line(self, line: str, place: Place) -> None:
        if line.startswith("["):
            if not line.endswith("]") or not line[1:-1].strip():
                raise ConfigError(problem(place, None, f"{line!r} is no section: [name]"))
            self._section = section_key(line[1:-1])
            return
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise ConfigError(problem(place, None, f"{line!r} is neither a section nor `name = value`"))
        if same_name(name) == "include":
            self._include(value.strip(), place)
            return
        self._parameters.append(Parameter(self._section, " ".join(name.split()), value.strip(), place))

    def _include(self, value: str, place: Place) -> None:
        name = unquote(self._expand(value, place, self._parameters))
        path = place.file.parent / name
        # Samba reads on without a word; but a file whose name holds no substitution is meant to be there.
        if "%" in value and not path.exists():
            return
        self.read(path, place)


def unquote(value: str) -> str:
    """A value without the quotes around it."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value


def _text_of(path: Path, included_at: Place | None) -> str:
    option = "include" if included_at else None
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigError(problem(included_at or path, option, f"{path}: {error.strerror}")) from error
    except UnicodeDecodeError as error:
        raise ConfigError(problem(included_at or path, option, f"{path} is not UTF-8: {error.reason}")) from error


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments and empty ones, continued lines joined, with the number of their first."""
    pending, start = "", 0
    # Not splitlines(): a form feed or U+2028 in a value ends no line.
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not pending:
            start = number
            if line.lstrip()[:1] in ("", "#", ";"):
                continue
        joined = _join(pending, line)
        if joined.endswith("\\"):
            pending = joined
            continue
        pending = ""
        if joined.strip():
            yield start, joined.strip()
    if pending[:-1].strip():
        yield start, pending[:-1].strip()


def _join(pending: str, line: str) -> str:
    """A continued line and the one behind it, with one blank where there was white space between them."""
    if not pending:
        return line
    head = pending[:-1]
    blank = " " if head[-1:].isspace() or line[:1].isspace() else ""
    return head.rstrip() + blank + line.lstrip()
