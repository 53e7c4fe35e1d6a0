"""Which calls ask for the same."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from openchange_py.proxy.anonymize import Anonymize, Anonymizer
from openchange_py.proxy.likeness import Likeness
from openchange_py.rpc.call import Call, Session
from openchange_py.wire.ndr import ContextHandle
from openchange_py.wire.oxcdata.properties import TaggedPropertyValue
from openchange_py.wire.oxcrpc import EMSMDB, EcDoRpcExt2Request
from openchange_py.wire.proptags import PidTagClientSubmitTime, PidTagSubject
from openchange_py.wire.rop.base import Rop
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.oxcfold import RopOpenFolderRequest
from openchange_py.wire.rop.oxcprpt import RopSetPropertiesRequest
from openchange_py.wire.rpcheaderext import pack_payload
from tests.proxy.emsmdb_calls import connect
from tests.proxy.parties import ALICE, ALICE_DN, BOB_DN, number_call

OPEN = RopOpenFolderRequest(0, 0, 1, 9, 0)


def rops(*requests: Rop, handles: tuple[int, ...] = (7, 8), cxh: int = 1, tail: bytes = b"") -> Call:
    payload = RopBuffer(list(requests), list(handles), tail).pack()
    request = EcDoRpcExt2Request(ContextHandle(0, uuid.UUID(int=cxh)), 0, pack_payload(payload), 0x8007)
    return Call(EMSMDB, 11, request.pack(), Session("test", ""), ALICE)


def sets(subject: str, time: int) -> Rop:
    values = [TaggedPropertyValue(PidTagSubject, subject), TaggedPropertyValue(PidTagClientSubmitTime, time)]
    return RopSetPropertiesRequest(0, 0, values)


def alike(one: Call, other: Call, anonymized: Anonymize = Anonymize.NONE) -> bool:
    likeness = Likeness(anonymized)
    return asyncio.run(likeness.key(one)) == asyncio.run(likeness.key(other))


def test_handles_times_and_machines_do_not_matter() -> None:
    assert alike(rops(OPEN), rops(OPEN, handles=(1, 2), cxh=2))
    assert alike(rops(sets("a", 1)), rops(sets("a", 2)))
    session = Session("test", "")
    assert alike(connect(session, ALICE, ALICE_DN), connect(session, ALICE, ALICE_DN, aux_in=bytes(8), time_stamp=7))


def test_what_is_asked_for_does() -> None:
    assert not alike(rops(OPEN), rops(RopOpenFolderRequest(0, 0, 1, 10, 0)))
    assert not alike(rops(OPEN), rops(OPEN, OPEN))
    assert not alike(rops(sets("a", 1)), rops(sets("b", 1)))
    assert not alike(rops(OPEN, tail=b"\xf0\x01"), rops(OPEN, tail=b"\xf0\x02"))
    assert not alike(number_call(1), number_call(2))
    assert not alike(number_call(opnum=0), number_call(opnum=1))


@pytest.mark.parametrize("what", [Anonymize.NAMES, Anonymize.CONTENT])
def test_a_cleaned_call_is_like_its_original(what: Anonymize) -> None:
    cleaner, session = Anonymizer(what), Session("test", "")
    call = connect(session, ALICE, ALICE_DN, con_mod=0x12345678)
    cleaned = connect(session, ALICE, cleaner.name(ALICE_DN), con_mod=0)
    assert cleaned.stub != call.stub
    assert alike(call, cleaned, what)
    assert not alike(call, connect(session, ALICE, BOB_DN), what), "another length"
    assert alike(rops(sets("hello", 1)), rops(cleaner.message(sets("hello", 1))), what)


def test_decoding_for_the_key_changes_nothing() -> None:
    call = rops(sets("hello", 1))
    stub = call.stub
    asyncio.run(Likeness(Anonymize.CONTENT).key(call))
    call.edited_request()
    assert call.stub == stub
