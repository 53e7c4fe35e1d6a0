"""smb.conf syntax, as smb.conf(5) describes it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.config.parser import ConfigError, Parameter, Place, parse_file, same_name


def keep(value: str, place: Place, so_far: list[Parameter]) -> str:
    return value


def parse(tmp_path: Path, text: str) -> list[tuple[str, str, str, int]]:
    path = tmp_path / "smb.conf"
    path.write_bytes(text.encode())
    return [(p.section, p.name, p.value, p.place.line) for p in parse_file(path, keep)]


def test_sections_comments_and_white_space(tmp_path: Path) -> None:
    text = """
    # a comment with = in it
    ; another [global]
    realm = before any section
    [ GLOBAL ]
      Net  BIOS   Name =  exchange   # not a comment
    dcerpc_mapiproxy:binding=ncacn_ip_tcp:host[print,seal]
    [homes]
    path =
    """
    assert parse(tmp_path, text) == [
        ("global", "realm", "before any section", 4),
        ("global", "Net BIOS Name", "exchange   # not a comment", 6),
        ("global", "dcerpc_mapiproxy:binding", "ncacn_ip_tcp:host[print,seal]", 7),
        ("homes", "path", "", 9),
    ]


def test_globals_is_global(tmp_path: Path) -> None:
    assert parse(tmp_path, "[Globals]\nrealm = x") == [("global", "realm", "x", 2)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a = one \\\n two", "one two"),
        ("a = one\\\ntwo", "onetwo"),
        ("a = one, \\\r\n    two, \\\r\n    three", "one, two, three"),
        ("a = x=y", "x=y"),
        ("a = end of file \\", "end of file"),
        ("a = c:\\dir\\ \nb = 2", "c:\\dir\\ \n"),
    ],
)
def test_continuation(tmp_path: Path, text: str, value: str) -> None:
    assert parse(tmp_path, text)[0][2] == value.strip()


def test_a_continued_parameter_is_placed_at_its_first_line(tmp_path: Path) -> None:
    assert [line for *_, line in parse(tmp_path, "a = 1 \\\n 2 \\\n 3\nb = 4")] == [1, 4]


def test_comment_is_not_continued(tmp_path: Path) -> None:
    assert parse(tmp_path, "# note \\\na = 1") == [("global", "a", "1", 2)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[global]\nnonsense", "smb.conf:2: 'nonsense' is neither a section nor `name = value`"),
        ("[global\nrealm = x", "smb.conf:1: '[global' is no section: [name]"),
        ("= x", "smb.conf:1: '= x' is neither a section nor `name = value`"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(tmp_path, text)
    assert str(caught.value).endswith(message)


def test_include_is_literal_and_relative_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a.conf").write_text("inside = 1\n[homes]\ninclude = b.conf")
    (tmp_path / "parts" / "b.conf").write_text("deeper = 2")
    text = '[global]\ninclude = "parts/a.conf"\nafter = 3'
    assert [(s, n) for s, n, *_ in parse(tmp_path, text)] == [
        ("global", "inside"),
        ("homes", "deeper"),
        ("homes", "after"),
    ]


def test_include_cycle_ends_with_an_error(tmp_path: Path) -> None:
    (tmp_path / "other.conf").write_text("realm = x\ninclude = smb.conf")
    with pytest.raises(ConfigError, match=r"other\.conf:2: include: .*smb\.conf includes itself"):
        parse(tmp_path, "include = other.conf")


def test_the_same_file_may_be_included_twice(tmp_path: Path) -> None:
    (tmp_path / "other.conf").write_text("realm = x")
    assert len(parse(tmp_path, "include = other.conf\ninclude = other.conf")) == 2


def test_missing_include(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"smb\.conf:1: include: .*absent\.conf: No such file"):
        parse(tmp_path, "include = absent.conf")
    assert parse(tmp_path, "include = absent.%m\na = 1") == [("global", "a", "1", 2)]


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.conf: No such file or directory"):
        parse_file(tmp_path / "none.conf", keep)
    (tmp_path / "latin1.conf").write_bytes(b"realm = caf\xe9\n")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        parse_file(tmp_path / "latin1.conf", keep)


def test_names_compare_without_case_and_blanks() -> None:
    assert same_name(" Net BIOS\tname ") == same_name("netbiosname")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_gives_parameters_or_a_config_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.conf"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with contextlib.suppress(ConfigError):
        assert all(parameter.name for parameter in parse_file(path, keep))
