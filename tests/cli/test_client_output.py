"""What a person sees of texts, sizes, times and HTML."""

from __future__ import annotations

import datetime
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.cli.client_output import (
    Table,
    printable,
    printable_lines,
    shortened,
    show_fields,
    size_text,
    text_of_html,
    time_json,
    time_text,
    width,
)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=100))
def test_nothing_steers_the_terminal(text: str) -> None:
    for shown in (printable(text), printable_lines(text).replace("\n", "").replace("\t", "")):
        assert not [char for char in shown if ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0]
        shown.encode("utf-8")
    assert "\n" not in printable(text)


def test_unsafe_characters_are_shown_as_such() -> None:
    assert printable("a\x1b[31mb\u202ec\r\nd") == "a\ufffd[31mb\ufffdc d"
    assert printable_lines("one\r\ntwo\rthree\n\tfour\x00") == "one\ntwo\nthree\n\tfour\ufffd"
    assert printable("Grüße 日本語 🌻") == "Grüße 日本語 🌻"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (34_000, "33 KiB"),
        (5 << 20, "5.0 MiB"),
        (1 << 50, "1048576 GiB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text


def test_times() -> None:
    time = datetime.datetime(2024, 1, 1, 12, 30, tzinfo=datetime.UTC)
    assert time_json(time) == "2024-01-01T12:30:00+00:00"
    assert time_text(time) == time.astimezone().strftime("%Y-%m-%d %H:%M")
    assert (time_text(None), time_json(None)) == ("", None)


def test_widths_of_characters() -> None:
    assert [width(text) for text in ("abc", "日本", "e\u0301", "")] == [3, 4, 1, 0]
    assert shortened("日本語", 6) == "日本語"
    assert shortened("日本語", 5) == "日本…"
    assert shortened("abcdef", 4) == "abc…"


def test_tables_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(">NO", "NAME", "SUBJECT")
    table.add(1, "日本", "x" * 300)
    table.add(10, "Bob", "")
    table.show()
    assert capsys.readouterr().out == f"NO  NAME  SUBJECT\n 1  日本  {'x' * 300}\n10  Bob\n"


def test_on_a_terminal_the_last_column_fits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    table = Table("NAME", "SUBJECT")
    table.add("Bob", "word " * 30)
    table.show()
    assert [width(line) <= 40 for line in capsys.readouterr().out.splitlines()] == [True, True]


def test_fields_without_value_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    show_fields([("From", "Bob"), ("Cc", ""), ("Subject", "a\nb")])
    assert capsys.readouterr().out == "From:    Bob\nSubject: a b\n"


def test_html_as_text() -> None:
    page = """<html><head><title>no</title><style>p {}</style></head><body>
      <h1>Roof</h1><p>Two   offers:<br>tiles &amp; shingles</p><ul><li>one</li><li>two</li></ul>
      <script>alert(1)</script><div><div><div>end</div></div></div></body></html>"""
    assert text_of_html(page) == "Roof\n\nTwo offers:\ntiles & shingles\n\n- one\n- two\n\nend"


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<a title='x>y' href=\"a>b\">link</a> it's", "link it's"),
        ("<p title=it's>one<p>two", "one\n\ntwo"),
        ("1 < 2 &lt; 3 &amp;amp; <3", "1 < 2 < 3 &amp; <3"),
        ("<SCRIPT>if (a<b) '</p>'</Script >shown<style>p{}", "shown"),
        ("<head><title>no</title><body>yes", "yes"),
        ("a<!-- <p> --> b<!-- to the end", "a b"),
        ("<!DOCTYPE html><?xml?>x</>y</ z>", "xy"),
        ("<br/>x<br />y<BR>z", "x\ny\nz"),
        ("a <b", "a"),
    ],
)
def test_html_as_browsers_take_it(page: str, text: str) -> None:
    assert text_of_html(page) == text


@pytest.mark.parametrize(
    "piece",
    [
        "<",
        "<a",
        "<!--",
        "<!",
        "</",
        "<![cdata[",
        "<?",
        "&#",
        '<a href="',
        "<a '\"",
        "<script>",
        "<p>",
        "<a " + "'\"" * 9,
        "<b <",
    ],
)
def test_html_that_is_made_to_take_long(piece: str) -> None:
    assert isinstance(text_of_html(piece * 50_000), str)


@pytest.mark.parametrize("section", ["<![;", "<![;>", "<![unknown[x]]>", "<![ 1]>", "<![if mso]>", "<![endif]>"])
def test_marked_sections_of_any_kind_are_passed_over(section: str) -> None:
    assert text_of_html(f"<p>one{section}</p><p>two</p>").startswith("one")


@settings(max_examples=1000, deadline=None)
@given(st.text(alphabet="<>/!-&;abp \n\"'=[]", max_size=80))
def test_any_html_is_some_text(page: str) -> None:
    assert isinstance(text_of_html(page), str)
