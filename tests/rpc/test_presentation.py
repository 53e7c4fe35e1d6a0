"""Presentation contexts: what is accepted, rejected or illegal, and bind-time features."""

from __future__ import annotations

import uuid

import pytest

from openchange_py.rpc.interface import OfferedInterfaces
from openchange_py.rpc.presentation import PresentationContexts
from openchange_py.rpc.refusal import Refusal
from openchange_py.wire.ndr import NDR20, SyntaxId
from openchange_py.wire.pdu import PresentationContextElement
from openchange_py.wire.syntax import NDR64, NULL_SYNTAX
from tests.rpc.echo import ECHO, OTHER

ACCEPTED, REJECTED, FEATURES = 0, 2, 3
NO_INTERFACE, NO_SYNTAX = 1, 2


def element(number: int, syntax: SyntaxId, *transfer: SyntaxId) -> PresentationContextElement:
    return PresentationContextElement(number, syntax, transfer or (NDR20,))


def features(bits: int) -> SyntaxId:
    raw = uuid.UUID("6cb71c2c-9812-4540-0000-000000000000").bytes_le[:8] + bits.to_bytes(8, "little")
    return SyntaxId(uuid.UUID(bytes_le=raw), 1, 0)


def contexts(limit: int = 100) -> PresentationContexts:
    return PresentationContexts(OfferedInterfaces([ECHO, OTHER]), limit)


def answers(results) -> list[tuple[int, int]]:
    return [(result.result, result.reason) for result in results]


def test_an_interface_is_accepted_once_per_pdu() -> None:
    known = contexts()
    results = known.bind((element(3, ECHO.syntax), element(4, ECHO.syntax), element(5, OTHER.syntax)))
    assert answers(results) == [(ACCEPTED, 0), (REJECTED, NO_SYNTAX), (ACCEPTED, 0)]
    assert set(known) == {3, 5}
    assert answers(known.alter((element(4, ECHO.syntax),))) == [(ACCEPTED, 0)]
    assert set(known) == {3, 4, 5}


def test_what_was_accepted_stays_when_the_same_id_is_proposed_without_success() -> None:
    known = contexts()
    known.bind((element(1, ECHO.syntax, NULL_SYNTAX, NDR20, NDR20),))
    assert answers(known.alter((element(1, ECHO.syntax, NULL_SYNTAX),))) == [(REJECTED, NO_SYNTAX)]
    assert known[1].interface is ECHO
    with pytest.raises(Refusal, match="another transfer syntax"):
        known.alter((element(1, ECHO.syntax, NDR20, NDR64),))
    with pytest.raises(Refusal, match="taken by echo"):
        known.alter((element(1, OTHER.syntax),))


def test_ndr64_is_for_who_proposes_nothing_else() -> None:
    """[MS-RPCE] 3.3.1.5.6: the preferred transfer syntax where it is proposed, wherever that is."""
    known = contexts()
    (result,) = known.bind((element(1, ECHO.syntax, NULL_SYNTAX, NDR64),))
    assert (result.result, result.reason, result.transfer_syntax) == (ACCEPTED, 0, NDR64)
    assert known[1].ndr64
    with pytest.raises(Refusal, match="another transfer syntax"):
        known.alter((element(1, ECHO.syntax, NDR20, NDR64),))
    assert answers(known.alter((element(2, ECHO.syntax, NDR64, NDR20),))) == [(ACCEPTED, 0)]
    assert not known[2].ndr64


@pytest.mark.parametrize("order", [1, -1])
def test_a_context_per_transfer_syntax_as_windows_proposes_them(order: int) -> None:
    known = contexts()
    proposed = (element(0, ECHO.syntax, NDR20), element(1, ECHO.syntax, NDR64), element(2, OTHER.syntax, NDR64))
    results = known.bind(proposed[::order])
    assert answers(results)[::order] == [(ACCEPTED, 0), (REJECTED, NO_SYNTAX), (ACCEPTED, 0)]
    assert {number: context.transfer_syntax for number, context in known.items()} == {0: NDR20, 2: NDR64}


def test_an_unknown_interface_is_told_as_one_in_either_transfer_syntax() -> None:
    absent = SyntaxId(uuid.UUID(int=7), 1, 0)
    results = contexts().bind((element(0, absent, NDR20), element(1, absent, NDR64)))
    assert answers(results) == [(REJECTED, NO_INTERFACE)] * 2


@pytest.mark.parametrize(
    ("transfer", "accepted"),
    [
        ((features(0),), 0),
        ((features(1),), 1),
        ((features(2),), 2),
        ((features(0xFF),), 3),
        ((features(2), features(1), NULL_SYNTAX), 2),  # only the first one counts
    ],
)
def test_bind_time_features(transfer: tuple[SyntaxId, ...], accepted: int) -> None:
    known = contexts()
    (result,) = known.bind((element(1, NULL_SYNTAX, *transfer),))
    assert (result.result, result.reason, result.transfer_syntax) == (FEATURES, accepted, NULL_SYNTAX)
    assert known.features == accepted
    assert not known


def test_features_must_come_first_and_once() -> None:
    known = contexts()
    assert answers(known.bind((element(1, NULL_SYNTAX, NULL_SYNTAX, features(1)),))) == [(REJECTED, NO_INTERFACE)]
    assert known.features is None
    with pytest.raises(Refusal, match="twice"):
        contexts().bind((element(1, NULL_SYNTAX, features(1)), element(2, NULL_SYNTAX, features(2))))


def test_a_bind_of_nothing_and_one_of_too_much() -> None:
    for elements in ((), (PresentationContextElement(1, ECHO.syntax, ()),)):
        with pytest.raises(Refusal):
            contexts().bind(elements)
    known = contexts(limit=2)
    known.bind((element(1, ECHO.syntax), element(2, OTHER.syntax)))
    with pytest.raises(Refusal, match="more than 2"):
        known.alter((element(3, ECHO.syntax),))
    assert set(known) == {1, 2}
