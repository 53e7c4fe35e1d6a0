"""LDIF: RFC 2849."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openchange_py.addressbook.ldif import Addition, Deletion, LdifError, Modification, parse, render
from tests.slapd import find


def test_a_record_without_changetype_is_an_addition() -> None:
    """RFC 2849, example 1, its first record, with a continued line and a comment."""
    text = """\
version: 1
dn: cn=Barbara Jensen, ou=Product Development, dc=airius, dc=com
objectclass: top
objectclass: person
# and so on
cn: Barbara Jensen
cn: Babs Jensen
description: Babs is a big sailing fan, and travels extensively in sea
 rch of perfect sailing conditions.
"""
    assert list(parse(text)) == [
        Addition(
            "cn=Barbara Jensen, ou=Product Development, dc=airius, dc=com",
            {
                "objectclass": ["top", "person"],
                "cn": ["Barbara Jensen", "Babs Jensen"],
                "description": [
                    "Babs is a big sailing fan, and travels extensively in search of perfect sailing conditions."
                ],
            },
        )
    ]


def test_modifications_have_an_order() -> None:
    """RFC 2849, example 6."""
    text = """\
dn: cn=Paula Jensen, ou=Product Development, dc=airius, dc=com
changetype: modify
add: postaladdress
postaladdress: 123 Anystreet $ Sunnyvale, CA $ 94086
-
delete: description
-
replace: telephonenumber
telephonenumber: +1 408 555 1234
telephonenumber: +1 408 555 5678
-
"""
    (change,) = parse(text)
    assert change == Modification(
        "cn=Paula Jensen, ou=Product Development, dc=airius, dc=com",
        [
            ("add", "postaladdress", ["123 Anystreet $ Sunnyvale, CA $ 94086"]),
            ("delete", "description", []),
            ("replace", "telephonenumber", ["+1 408 555 1234", "+1 408 555 5678"]),
        ],
    )


def test_what_is_not_plain_is_base64() -> None:
    attributes = {"cn": ["Kröte"], "photo": [b"\xff\xd8"], "title": [" led", "<x", ":y", "a b"]}
    text = render([Addition("cn=Kröte", attributes)])
    assert text == (
        "dn:: Y249S3LDtnRl\nchangetype: add\ncn:: S3LDtnRl\nphoto:: /9g=\n"
        "title:: IGxlZA==\ntitle:: PHg=\ntitle:: Onk=\ntitle: a b\n"
    )


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("cn: x\n", "line 1: a record begins with dn"),
        ("dn: x\ncn\n", "line 2: 'cn' has no colon"),
        ("dn: x\ncn:: %%\n", "line 2: cn is no base64"),
        (" x\n", "line 1: a continuation of nothing"),
        ("dn: x\nchangetype: modrdn\n", "changetype modrdn is not known"),
        ("dn: x\nchangetype: modify\nincrement: a\n", "increment is none of add, delete, replace"),
        ("dn: x\nchangetype: modify\nadd: a\nb: c\n", "b within add: a"),
        ("dn: x\njpegphoto:< file:///etc/passwd\n", "values from elsewhere are not read"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, wrong: str) -> None:
    with pytest.raises(LdifError, match=wrong):
        list(parse(text))


_NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True).filter(
    lambda name: name.casefold() not in ("dn", "changetype", "version")
)
_BYTES = st.lists(st.binary(min_size=1).filter(lambda raw: not _is_plain(raw)), min_size=1)


def _is_plain(raw: bytes) -> bool:
    return raw.isascii() and raw.decode().isprintable() and not raw.startswith((b" ", b":", b"<"))


@given(st.text("abcä=, ", min_size=1).map(lambda dn: f"cn={dn}.".strip()), st.dictionaries(_NAMES, _BYTES, max_size=4))
def test_what_was_written_is_read_again(dn: str, attributes: dict[str, list[bytes]]) -> None:
    changes = [
        Addition(dn, attributes),
        Modification(dn, [("add", name, values) for name, values in attributes.items()]),
        Deletion(dn),
    ]
    text = render(changes)
    assert all(len(line) <= 78 and line.isascii() for line in text.splitlines())
    assert list(parse(text)) == changes


@given(st.text())
def test_any_garbage_parses_or_is_refused(text: str) -> None:
    with contextlib.suppress(LdifError):
        list(parse(text))


def test_the_files_of_setup_are_read() -> None:
    files = sorted((Path(__file__).parents[2] / "setup").rglob("*.ldif"))
    assert files
    for path in files:
        assert list(parse(path.read_text("utf-8"))), path


def test_ldapmodify_takes_it() -> None:
    """A foreign reader: -n does nothing, but the file is read."""
    tool = find("ldapmodify")
    if tool is None:
        pytest.skip("no ldapmodify: Debian's ldap-utils")
    attributes = {"objectClass": ["person"], "cn": ["Kröte " * 40], "photo": [bytes(range(256))]}
    text = render([Addition("cn=Kröte", attributes)])
    done = subprocess.run([tool, "-n", "-v"], input=text, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
