"""Subject, prefix and normalized subject."""

from __future__ import annotations

import pytest

from openchange_py.store.base import StoreError
from openchange_py.store.subjects import complete_subject, split_subject
from openchange_py.wire import proptags


@pytest.mark.parametrize(
    ("subject", "prefix", "normalized"),
    [
        ("Re: lunch", "Re: ", "lunch"),
        ("FW: Re: lunch", "FW: ", "Re: lunch"),
        ("Antw: lunch", "", "Antw: lunch"),
        ("AW: lunch", "AW: ", "lunch"),
        ("回复: lunch", "回复: ", "lunch"),
        ("R2: lunch", "", "R2: lunch"),
        ("Re:lunch", "", "Re:lunch"),
        (": lunch", "", ": lunch"),
        ("Re: ", "Re: ", ""),
        ("", "", ""),
    ],
)
def test_prefixes(subject: str, prefix: str, normalized: str) -> None:
    assert split_subject(subject) == (prefix, normalized)


def test_a_prefix_that_was_given_counts() -> None:
    given = {proptags.PidTagSubject: "Antwort: lunch", proptags.PidTagSubjectPrefix: "Antwort: "}
    assert complete_subject(given)[proptags.PidTagNormalizedSubject] == "lunch"


def test_a_prefix_that_is_not_there_does_not() -> None:
    given = {proptags.PidTagSubject: "Re: lunch", proptags.PidTagSubjectPrefix: "Fw: "}
    assert complete_subject(given)[proptags.PidTagSubjectPrefix] == "Re: "


def test_the_parts_alone() -> None:
    given = {proptags.PidTagNormalizedSubject: "Re: lunch"}
    complete = complete_subject(given)
    assert (complete[proptags.PidTagSubjectPrefix], complete[proptags.PidTagNormalizedSubject]) == ("", "Re: lunch")
    assert given == {proptags.PidTagNormalizedSubject: "Re: lunch"}


def test_topic_and_search_key_are_kept_where_they_are_given() -> None:
    given = {
        proptags.PidTagSubject: "x",
        proptags.PidTagConversationTopic: "topic",
        proptags.PidTagSearchKey: b"k" * 16,
    }
    complete = complete_subject(given)
    assert complete[proptags.PidTagConversationTopic] == "topic"
    assert complete[proptags.PidTagSearchKey] == b"k" * 16
    assert complete_subject({})[proptags.PidTagSearchKey] != complete_subject({})[proptags.PidTagSearchKey]


def test_a_subject_that_is_no_text() -> None:
    with pytest.raises(StoreError, match="PidTagSubject"):
        complete_subject({proptags.PidTagSubject: 5})
