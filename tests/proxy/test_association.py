"""What a client session has open upstream, and how an address book session is opened again."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from openchange_py.proxy.association import AddressBookSession, Association, Associations
from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.wire.ndr import NULL_HANDLE, ContextHandle
from openchange_py.wire.oxcrpc import EMSMDB
from openchange_py.wire.oxnspi import NspiBindResponse
from tests.proxy.parties import Upstream, UpstreamConnection, status_of

GUID = uuid.UUID(int=1)
HANDLE = ContextHandle(0, uuid.UUID(int=2))
RAW_HANDLE = bytes(4) + HANDLE.uuid.bytes_le


def connection(group: int = 7) -> UpstreamConnection:
    return UpstreamConnection(Upstream(lambda interface, opnum, stub: b""), EMSMDB, group)


def test_an_address_book_session_is_the_same_where_the_servers_guid_is() -> None:
    book = AddressBookSession.opened(b"bind", NspiBindResponse(GUID, HANDLE, 0).pack())
    assert book == AddressBookSession(b"bind", GUID)
    assert book.reopened(NspiBindResponse(GUID, HANDLE, 0).pack()) == RAW_HANDLE


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (NspiBindResponse(uuid.UUID(int=9), HANDLE, 0).pack(), "another server's"),
        (NspiBindResponse(None, HANDLE, 0).pack(), "another server's"),
        (NspiBindResponse(GUID, NULL_HANDLE, 0x80040111).pack(), "NspiBind answers 0x80040111 now"),
        (b"garbage", "was not understood"),
    ],
)
def test_what_is_not_the_same_is_a_context_mismatch(reply: bytes, reason: str) -> None:
    with pytest.raises(RpcFault, match=reason) as caught:
        AddressBookSession(b"bind", GUID).reopened(reply)
    assert status_of(caught) == FaultStatus.CONTEXT_MISMATCH


@pytest.mark.parametrize(
    ("request_stub", "reply"),
    [
        (b"bind", NspiBindResponse(None, HANDLE, 0).pack()),
        (b"bind", b"garbage"),
        (bytes(10_000), NspiBindResponse(GUID, HANDLE, 0).pack()),
    ],
    ids=["without GUID", "malformed", "too large to be kept"],
)
def test_what_cannot_be_opened_again(request_stub: bytes, reply: bytes) -> None:
    assert AddressBookSession.opened(request_stub, reply) is None


def test_handles_go_with_the_last_connection_of_their_group() -> None:
    async def work() -> None:
        first, second = connection(), connection()
        association = Association(group=7, upstream="exch1", handles={b"a": b"a"})
        association.address_books[b"b"] = AddressBookSession(b"bind", GUID)
        association.idle["exchange_emsmdb"] = [first]
        association.busy.append(("exchange_emsmdb", second))
        assert not association.forget_lost()
        await first.close()
        assert not association.forget_lost()
        assert association.idle_client("exchange_emsmdb") is None
        await second.close()
        assert association.knows(b"a")
        assert association.forget_lost()
        assert (association.group, association.upstream, association.knows(b"a")) == (0, "", False)
        # An address book session can be had again.
        assert association.knows(b"b")
        assert not association.forget_lost()
        association.forget(b"b")
        assert association.size == 0

    asyncio.run(work())


def test_a_session_has_an_association_per_handle_space() -> None:
    associations = Associations()
    mailbox, referral = associations.of("exchange_emsmdb"), associations.of("exchange_ds_rfr")
    assert mailbox is associations.of("exchange_emsmdb") is not referral
    referral.idle["exchange_ds_rfr"] = [idle := connection()]
    assert associations.all_clients() == [idle]
    associations.end()
    assert mailbox.ended
    assert referral.ended
