"""How `ocpy client` shows things: tables, sizes, times, and texts that came from strangers."""

from __future__ import annotations

import datetime
import html
import json
import re
import shutil
import sys
import unicodedata
from collections.abc import Sequence
from typing import Any, Final

import click

#: Characters that move the cursor, change the order of text or are invisible: mail must not steer a terminal.
_UNSAFE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def printable(text: str) -> str:
    """One line of text that a terminal shows and does not obey."""
    return _UNSAFE.sub("\ufffd", re.sub(r"[\r\n\t]+", " ", text))


def printable_lines(text: str) -> str:
    """Several lines, likewise; line ends become the system's."""
    return _UNSAFE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def show_json(value: Any) -> None:
    """JSON for programs."""
    click.echo(json.dumps(value, indent=2))


def size_text(size: int) -> str:
    """`812 B`, `3.4 KiB`, `12 MiB`."""
    value, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{size} B" if unit == "B" else f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"


def time_text(time: datetime.datetime | None) -> str:
    """Local time, to the minute."""
    return "" if time is None else time.astimezone().strftime("%Y-%m-%d %H:%M")


def time_json(time: datetime.datetime | None) -> str | None:
    """ISO 8601, UTC."""
    return None if time is None else time.isoformat()


def width(text: str) -> int:
    """The columns that a text takes on a terminal."""
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def shortened(text: str, columns: int) -> str:
    """The text, cut with an ellipsis where it takes more columns."""
    if width(text) <= columns:
        return text
    kept, taken = "", 0
    for char in text:
        taken += _columns(char)
        if taken > columns - 1:
            break
        kept += char
    return kept + "…"


class Table:
    """Aligned columns. A heading that begins with `>` is of a column aligned to the right.

    On a terminal the last column is cut to what fits; in a pipe nothing is.
    """

    def __init__(self, *headings: str) -> None:
        self._right = [heading.startswith(">") for heading in headings]
        self._rows: list[list[str]] = [[heading.removeprefix(">") for heading in headings]]

    def add(self, *cells: object) -> None:
        """One row."""
        self._rows.append([printable(str(cell)) for cell in cells])

    def show(self) -> None:
        """Print it."""
        widths = [max(map(width, column)) for column in zip(*self._rows, strict=True)]
        room = shutil.get_terminal_size().columns - sum(widths[:-1]) - 2 * (len(widths) - 1)
        if sys.stdout.isatty() and room >= 8:
            widths[-1] = min(widths[-1], room)
        for row in self._rows:
            cells = [self._cell(cell, place, widths[place]) for place, cell in enumerate(row)]
            click.echo("  ".join(cells).rstrip())

    def _cell(self, text: str, place: int, columns: int) -> str:
        text = shortened(text, columns)
        padding = " " * (columns - width(text))
        return padding + text if self._right[place] else text + padding


def show_fields(fields: Sequence[tuple[str, str]]) -> None:
    """`Subject:  ...` lines, those without a value left out."""
    shown = [(name, value) for name, value in fields if value]
    longest = max((len(name) for name, _ in shown), default=0) + 1
    for name, value in shown:
        click.echo(f"{name + ':':<{longest}} {printable(value)}")


#: Elements that begin and end a line, and those with an empty line around them.
_BLOCKS: Final = frozenset(
    ("address", "dd", "div", "dt", "footer", "header", "hr", "li", "main", "nav", "section", "tr")
)
_PARAGRAPHS: Final = frozenset(
    ("article", "blockquote", "dl", "form", "h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "table", "ul")
)
_HIDDEN: Final = frozenset(("head", "title"))


#: What a page is made of; whatever it is, the first alternative that fits takes it, and none looks further than to the
#: next `<` (a comment to its end). The library's parser takes minutes for a mail that was written for that.
_TOKEN: Final = re.compile(
    r"""<!--.*?(?:-->|\Z)
    |<(?P<tag>/?[a-z][^\s/<>]*)(?:"[^"<]*"|'[^'<]*'|[^<>])*>?
    |<[!?/][^<>]*>?
    |(?P<text>[^<]+|<)""",
    re.DOTALL | re.IGNORECASE | re.VERBOSE,
)
#: Elements whose content is no HTML, up to their end.
_RAW: Final = {name: re.compile(rf"</{name}|\Z", re.IGNORECASE) for name in ("script", "style")}


class _TextOfHtml:
    """Collects what a browser would show, roughly."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._line_ends = 2
        self._hidden = 0

    def feed(self, page: str) -> None:
        """Read a whole page."""
        position = 0
        while position < len(page):
            token = _TOKEN.match(page, position)
            assert token is not None
            position = token.end()
            tag = (token["tag"] or "").lower()
            if tag in _RAW and (end := _RAW[tag].search(page, position)):
                position = end.start()
            elif tag.startswith("/"):
                self._end(tag[1:])
            elif tag:
                self._start(tag)
            elif token["text"] and not self._hidden:
                self._add(re.sub(r"\s+", " ", html.unescape(token["text"])))

    def _start(self, tag: str) -> None:
        self._hidden = 0 if tag == "body" else self._hidden + (tag in _HIDDEN)
        self._break(tag)
        if tag == "br":
            self._pieces.append("\n")
        elif tag == "li":
            self._add("- ")
        elif tag in ("td", "th"):
            self._add(" ")

    def _end(self, tag: str) -> None:
        if tag in _HIDDEN and self._hidden:
            self._hidden -= 1
        self._break(tag)

    def _add(self, text: str) -> None:
        self._pieces.append(text)
        if text.strip():
            self._line_ends = 0

    def _break(self, tag: str) -> None:
        wanted = 2 if tag in _PARAGRAPHS else 1 if tag in _BLOCKS else 0
        self._pieces.append("\n" * (wanted - self._line_ends))
        self._line_ends = max(self._line_ends, wanted)

    def text(self) -> str:
        """The text, without spaces around its lines."""
        lines = [line.strip() for line in "".join(self._pieces).split("\n")]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def text_of_html(page: str) -> str:
    """An HTML page as plain text, good enough to read."""
    parser = _TextOfHtml()
    parser.feed(page)
    return parser.text()
