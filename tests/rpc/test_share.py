"""Who has which numbers."""

from __future__ import annotations

from openchange_py.rpc.share import Share


def test_every_number_is_one_process_own() -> None:
    shares = [Share(number, 3) for number in range(3)]
    for identifier in range(20):
        owners = [share.number for share in shares if share.elsewhere(identifier) is None]
        assert owners == [identifier % 3]
        assert {share.elsewhere(identifier) for share in shares} == {None, *owners}


def test_a_process_that_is_alone_has_all_of_them() -> None:
    assert all(Share().elsewhere(identifier) is None for identifier in (0, 1, 0xFFFFFFFF))
