import pytest
from hypothesis import given
from hypothesis import strategies as st

from openchange_py.addressbook.sortkeys import behind, fold, sort_key, tails


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ÄBBY", "abby"),
        ("Straße", "STRASSE"),
        ("カナ", "かな"),
        ("\uff21\uff22\uff23", "abc"),
        ("é", "e\u0301"),
        (" x ", "x"),
    ],
)
def test_names_that_compare_equal(one: str, other: str) -> None:
    # [MS-OXNSPI] 2.2.1.6: NORM_IGNORECASE, IGNORENONSPACE, IGNOREKANATYPE, IGNOREWIDTH
    assert sort_key(one) == sort_key(other)


def test_the_order() -> None:
    expected = [
        "",
        "(x)",
        "~z",
        "«q»",
        "1",
        "[x]",
        "Adam",
        "adam b",
        "Ætna",
        "äther",
        "bob",
        "Ødegård",
        "Oz",
        "Zz",
        "Þor",
    ]
    keys = [sort_key(name) for name in expected]
    assert keys == sorted(set(keys))


@given(st.text(), st.text())
def test_what_begins_with_a_name_lies_between_its_key_and_the_one_behind(start: str, rest: str) -> None:
    key = sort_key(start)
    longer = key + sort_key(rest)
    assert key <= longer < behind(key)
    assert 0xFF not in key


@given(st.text())
def test_folding_gives_what_a_database_can_hold(text: str) -> None:
    folded = fold(text)
    assert "\0" not in folded
    folded.encode()


def test_tails() -> None:
    assert tails("Berg, Anna  Maria") == ["Berg, Anna  Maria", "Anna  Maria", "Maria"]
    assert tails("Anna Maria Berg") == ["Anna Maria Berg", "Maria Berg", "Berg"]
    assert tails(" ") == []


def test_a_text_of_megabytes_is_no_work() -> None:
    assert len(sort_key("\ufdfa" * 5_000_000)) < 500_000
