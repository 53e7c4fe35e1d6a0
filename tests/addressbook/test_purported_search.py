import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openchange_py.addressbook.base import Kind
from openchange_py.addressbook.purported_search import (
    DEEPEST_FILTER,
    LONGEST_FILTER,
    MOST_TERMS,
    FilterError,
    belongs,
    compile_filter,
)

ANNA = {
    "displayName": ["Anna Berg"],
    "mailNickname": ["anna"],
    "title": ["Boss (acting)", "Köchin"],
    "userAccountControl": ["514"],
    "photo": [b"\xff\x00"],
    "objectCategory": ["CN=Person,CN=Schema,CN=Configuration,DC=example,DC=test"],
}


@pytest.mark.parametrize(
    "search",
    [
        "(displayName=anna berg)",
        "  ( displayName=ANNA BERG)  ",
        "(DISPLAYNAME=*)",
        "(displayName=a*)",
        "(displayName=*berg)",
        "(displayName=an*a*be*g)",
        "(displayName=*)",
        "(displayName~=ANNÁ berg)",
        r"(title=boss \28acting\29)",
        r"(title=*\28*)",
        "(title=köchin)",
        r"(title=k\c3\b6chin)",
        r"(photo=\ff\00)",
        "(photo;binary=*)",
        "(userAccountControl>=513)",
        "(userAccountControl<=00514)",
        "(!(userAccountControl>=515))",
        "(userAccountControl:1.2.840.113556.1.4.803:=2)",
        "(userAccountControl:1.2.840.113556.1.4.804:=3)",
        "(!(userAccountControl:1.2.840.113556.1.4.803:=3))",
        "(objectClass=user)",
        "(objectCategory=person)",
        "(!(homeMDB=*))",
        "(!(homeMDB=x))",
        "(|(a=1)(displayName=anna*))",
        "(&(displayName=anna*)(!(a=1))(mailNickname=*))",
        "(&)",
        # the default Global Address List of Exchange 2003
        "(& (mailnickname=*) (| (&(objectCategory=person)(objectClass=user)(!(homeMDB=*))(!(msExchHomeServerName=*)))"
        "(objectCategory=group)(objectCategory=publicFolder) ))",
    ],
)
def test_who_belongs(search: str) -> None:
    assert belongs(search, Kind.USER, ANNA)


@pytest.mark.parametrize(
    "search",
    [
        "",
        "(displayName=anna)",
        "(displayName=an*be)",
        "(displayName=anna bergberg*)",
        "(displayName=anna*anna berg)",
        "(objectClass=group)",
        "(|)",
        "(&(displayName=anna*)(a=1))",
        "(homeMDB=*)",
        "(photo=x)",
        "(photo~=x)",
        "(photo>=x)",
        "(displayName:dn:=anna berg)",
        # undefined, and so is the negation
        "(displayName:1.2.3:=anna berg)",
        "(!(displayName:1.2.3:=anna berg))",
        "(&(displayName=*)(!(displayName:1.2.3:=x)))",
        "(:1.2.840.113556.1.4.803:=2)",
        "(userAccountControl:1.2.840.113556.1.4.803:=x)",
    ],
)
def test_who_does_not_belong(search: str) -> None:
    assert not belongs(search, Kind.USER, ANNA)


def test_undefined_or_true_is_true() -> None:
    assert belongs("(|(a:1.2.3:=x)(displayName=*))", Kind.USER, ANNA)


@pytest.mark.parametrize(
    ("kind", "object_class"),
    [(Kind.USER, "user"), (Kind.GROUP, "group"), (Kind.CONTACT, "contact"), (Kind.SERVER, "msExchExchangeServer")],
)
def test_each_kind_has_its_class(kind: Kind, object_class: str) -> None:
    assert belongs(f"(objectClass={object_class})", kind, {})
    assert belongs("(objectClass=mine)", kind, {"OBJECTCLASS": ["Mine"]})


@pytest.mark.parametrize(
    "text",
    [
        "(",
        ")",
        "()",
        "(a)",
        "(a=b",
        "a=b",
        "(a=b)x",
        "(a=b)(c=d)",
        "(!)",
        "(!(a=b)(c=d))",
        "(&(a=b)c)",
        "(=b)",
        r"(a=\2)",
        r"(a=\zz)",
        "(a:1.2:=",
        "(a b=c)",
        "(a=(b))",
        "(" * 1000,
        "(!" * (DEEPEST_FILTER + 2) + "(a=b)" + ")" * (DEEPEST_FILTER + 2),
        "(|" + "(a=b)" * (MOST_TERMS + 1) + ")",
        "(a=" + "x" * LONGEST_FILTER + ")",
    ],
)
def test_what_is_no_filter_is_refused_and_finds_nobody(text: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(FilterError):
        compile_filter(text)
    with caplog.at_level(logging.WARNING):
        assert not belongs(text, Kind.USER, ANNA)


@given(st.text(alphabet="()&|!=*\\:~<>a1 \0é", max_size=40))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    try:
        test = compile_filter(text)
    except FilterError:
        return
    assert test({"a": ["1", b"\xff"]}) in (True, False, None)


@given(st.text(max_size=20), st.text(max_size=20))
def test_an_escaped_value_is_that_value(value: str, other: str) -> None:
    escaped = "".join(f"\\{byte:02x}" for byte in value.encode("utf-8", "replace"))
    found = belongs(f"(a={escaped})", Kind.USER, {"a": [other, value]})
    assert found is bool(escaped) or value == "" or other == ""
