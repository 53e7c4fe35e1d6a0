"""What a refusal tells by itself."""

from __future__ import annotations

from openchange_py.rpc.call import FaultStatus
from openchange_py.rpc.refusal import Refusal, unbound


def test_a_refusal_ends_the_connection_and_claims_nothing_about_the_call() -> None:
    refusal = Refusal("why")
    assert str(refusal) == "why"
    assert (refusal.status, refusal.context_id, refusal.call_id) == (FaultStatus.PROTOCOL_ERROR, 0, None)
    assert refusal.ends
    assert not refusal.did_not_execute


def test_what_is_no_call_did_not_execute() -> None:
    refusal = unbound("why", FaultStatus.ACCESS_DENIED)
    assert (refusal.status, refusal.did_not_execute, refusal.ends) == (FaultStatus.ACCESS_DENIED, True, True)
