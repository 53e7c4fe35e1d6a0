"""Nobody gets into another user's mailbox with the relay's account."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
import zlib
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.addressbook.base import Directory, DirectoryError, Entry
from openchange_py.proxy.authorize import RELAYED_CALLS, Authorizer
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.security import ANONYMOUS, Identity
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import RpcMessage
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import EMSMDB, EcDoConnectExResponse, EcDoRpcExt2Response, RpcFlags
from openchange_py.wire.oxnspi import NSPI
from openchange_py.wire.rop.base import RopFailure, RopReleaseRequest
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.container import Container, ContainerId
from openchange_py.wire.rop.context import HandleStates
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcprpt_streams import RopWriteStreamRequest
from openchange_py.wire.rop.oxcstor import LogonFlags, OpenFlags, RopGetReceiveFolderRequest
from openchange_py.wire.rpcheaderext import HEADER_SIZE, RpcHeaderExt, obfuscate, unpack_payloads
from tests.proxy.emsmdb_calls import HANDLE, connect, connected, logon, old_connect, old_connected, old_rpc, rops, rpc
from tests.proxy.parties import ALICE, ALICE_DN, ASSISTANT, ASSISTANT_DN, BOB, BOB_DN, People, people, status_of

#: The calls of today's clients, and those of old ones: what begins a session, and what carries ROPs.
Making = Callable[..., Call]
CONNECTING = pytest.mark.parametrize(("connecting", "answered"), [(connect, connected), (old_connect, old_connected)])
CARRYING = pytest.mark.parametrize("carrying", [rpc, old_rpc])


def session() -> Session:
    return Session("test", "client")


def authorize(call: Call, authorizer: Authorizer | None = None) -> RpcMessage | None:
    return asyncio.run((authorizer or Authorizer(people())).authorize(call))


def refusal(call: Call, authorizer: Authorizer | None = None) -> Any:
    """The response that refuses it."""
    answer = authorize(call, authorizer)
    assert type(answer) is EMSMDB.methods[call.opnum].response
    return answer


def refused(call: Call) -> int:
    """The fault's status."""
    with pytest.raises(RpcFault) as caught:
        authorize(call)
    return status_of(caught)


@pytest.mark.parametrize(
    ("caller", "dn"), [(ALICE, ALICE_DN), (ALICE, ALICE_DN.upper()), (ASSISTANT, ALICE_DN), (ASSISTANT, ASSISTANT_DN)]
)
def test_own_and_granted_mailboxes(caller: Identity, dn: str) -> None:
    for connecting in (connect, old_connect):
        assert authorize(connecting(session(), caller, dn)) is None
    for carrying in (rpc, old_rpc):
        assert authorize(carrying(session(), caller, rops(logon(dn)))) is None


@pytest.mark.parametrize(
    ("caller", "dn"),
    [
        (ALICE, BOB_DN),
        (ALICE, ASSISTANT_DN),
        (BOB, ALICE_DN),
        (ALICE, ""),
        (ALICE, "/o=Example/ou=First/cn=Recipients/cn=nobody"),
        (ALICE, ALICE_DN + "\0" + BOB_DN),
        (ALICE, b"/o=Example/cn=\xff"),
        (Identity("ghost", "EXAMPLE"), ALICE_DN),
    ],
)
def test_other_mailboxes(caller: Identity, dn: str | bytes, caplog: pytest.LogCaptureFixture) -> None:
    if b"\0" not in (dn.encode() if isinstance(dn, str) else dn):
        for connecting in (connect, old_connect):
            answer = refusal(connecting(session(), caller, dn))
            assert (answer.return_value, answer.cxh.is_null) == (ErrorCode.AccessDenied, True)
    for carrying in (rpc, old_rpc):
        caplog.clear()
        assert refusal(carrying(session(), caller, rops(logon(dn)))).return_value == ErrorCode.Success
        assert "RopLogon" in caplog.text


@CARRYING
@pytest.mark.parametrize(("dn", "code"), [(BOB_DN, ErrorCode.LoginPermission), (BOB_DN + "by", ErrorCode.UnknownUser)])
def test_a_refused_logon_is_a_rop_that_failed(
    carrying: Making, dn: str, code: ErrorCode, caplog: pytest.LogCaptureFixture
) -> None:
    request = rops(logon(dn), handles=2)
    answer = refusal(carrying(session(), ALICE, request))
    assert (answer.cxh, answer.return_value) == (HANDLE, 0)
    [payload] = unpack_payloads(answer.rgb_out) if isinstance(answer, EcDoRpcExt2Response) else [answer.payload]
    buffer = RopBuffer.unpack_response(payload, RopBuffer.unpack_request(request), HandleStates())
    assert buffer.rops == [RopFailure(0, code, RopId.Logon)]
    assert buffer.handles == [0xFFFFFFFF] * 2
    assert f"{ALICE}" in caplog.text
    assert dn in caplog.text


@pytest.mark.parametrize(("flags", "obfuscated"), [(0, 2), (RpcFlags.NoXorMagic, 0)])
def test_a_refusal_is_obfuscated_unless_the_client_asked_otherwise(flags: int, obfuscated: int) -> None:
    answer = cast("EcDoRpcExt2Response", authorize(rpc(session(), ALICE, rops(logon(BOB_DN)), flags=flags)))
    assert RpcHeaderExt.unpack(answer.rgb_out[:HEADER_SIZE]).flags & 2 == obfuscated


@CARRYING
@pytest.mark.parametrize(
    ("flags", "open_flags"),
    [
        (0, OpenFlags.Public),
        (0, 0),
        (LogonFlags.Private, OpenFlags.Public),
        (LogonFlags.Private, OpenFlags.UseAdminPrivilege),
    ],
)
def test_public_folders_and_administrators_are_refused(carrying: Making, flags: int, open_flags: int) -> None:
    refusal(carrying(session(), ALICE, rops(logon(ALICE_DN, flags, open_flags))))


def test_administrator_privilege_of_the_session_is_refused() -> None:
    for connecting in (connect, old_connect):
        answer = refusal(connecting(session(), ALICE, ALICE_DN, flags=1))
        assert answer.return_value == ErrorCode.AccessDenied


@CONNECTING
def test_a_session_links_only_to_sessions_of_the_same_caller(
    connecting: Making, answered: Callable[..., bytes]
) -> None:
    authorizer = Authorizer(people())
    mine = connecting(session(), ALICE, ALICE_DN)
    authorizer.learn(mine, answered(icxr=7))
    authorizer.learn(connecting(session(), BOB, BOB_DN), answered(icxr=8))
    for link, allowed in ((7, True), (8, False), (9, False), (0xFFFFFFFF, True)):
        answer = authorize(connecting(session(), ALICE, ALICE_DN, icxr_link=link), authorizer)
        assert (answer is None) is allowed


def test_an_index_of_a_session_that_ended_is_nobodys() -> None:
    authorizer = Authorizer(people())
    mine, again = session(), session()
    authorizer.learn(connect(mine, ALICE, ALICE_DN), connected(icxr=7))
    authorizer.learn(connect(again, ALICE, ALICE_DN), connected(icxr=7))
    linking = connect(session(), ALICE, ALICE_DN, icxr_link=7)
    authorizer.forget(mine)
    assert authorize(linking, authorizer) is None  # the index is another session's by now
    authorizer.forget(again)
    authorizer.forget(mine)
    assert cast("EcDoConnectExResponse", authorize(linking, authorizer)).return_value == ErrorCode.AccessDenied


def test_each_upstream_counts_its_sessions_by_itself() -> None:
    authorizer, mine, bobs = Authorizer(people()), session(), session()
    authorizer.learn(connect(mine, ALICE, ALICE_DN), connected(icxr=7), "exch1")
    authorizer.learn(connect(bobs, BOB, BOB_DN), connected(icxr=7), "exch2")
    linking = connect(session(), ALICE, ALICE_DN, icxr_link=7)

    def allowed(upstream: str) -> bool:
        return asyncio.run(authorizer.authorize(linking, upstream)) is None

    # Where the call goes to is open without an association: to neither's session then.
    assert [allowed(upstream) for upstream in ("exch1", "exch2", "exch3", "")] == [True, False, False, False]
    authorizer.forget(bobs)
    assert [allowed(upstream) for upstream in ("exch1", "exch2", "")] == [True, False, True]


@CARRYING
def test_a_logon_behind_other_rops_is_found(carrying: Making) -> None:
    release, receive = RopReleaseRequest(0, 0), RopGetReceiveFolderRequest(0, 0, b"IPM")
    call = carrying(session(), ALICE, rops(release, receive, logon(ALICE_DN), logon(BOB_DN)))
    assert refused(call) == FaultStatus.ACCESS_DENIED
    assert authorize(carrying(session(), ALICE, rops(release, receive, logon(ALICE_DN)))) is None


@pytest.mark.parametrize("xor", [True, False])
@pytest.mark.parametrize("compress", [True, False])
def test_a_logon_in_any_wrapping_is_found(xor: bool, compress: bool) -> None:
    filler = rops(*[RopReleaseRequest(0, 0)] * 50)
    call = rpc(session(), ALICE, filler, rops(logon(BOB_DN)), xor=xor, compress=compress)
    assert refused(call) == FaultStatus.ACCESS_DENIED
    mine = rpc(session(), ALICE, filler, rops(logon(ALICE_DN)), xor=xor, compress=compress)
    assert authorize(mine) is None


@CARRYING
def test_what_cannot_be_read_is_refused_where_it_might_log_on(carrying: Making) -> None:
    unknown = b"\xf0\x00\x00"
    assert authorize(carrying(session(), ALICE, rops(tail=unknown))) is None
    for tail in (unknown + logon(BOB_DN).pack(), b"\xfe\x00"):
        assert refusal(carrying(session(), ALICE, rops(tail=tail))).return_value == ErrorCode.RpcFormat
    assert refusal(carrying(session(), ALICE, b"\xff\xff\xfe")).return_value == ErrorCode.RpcFormat


@CARRYING
@pytest.mark.parametrize("before", [(), (RopReleaseRequest(0, 0),)])
@pytest.mark.parametrize("kind", [ContainerId.Compressed, ContainerId.Encrypted])
def test_what_the_next_hop_would_open_is_refused(
    carrying: Making, before: tuple[RopReleaseRequest, ...], kind: ContainerId, caplog: pytest.LogCaptureFixture
) -> None:
    """Compressed, a RopLogon has no byte of its own: only that hop would see it, and it trusts the relay's account."""
    blob = zlib.compress(rops(logon(BOB_DN)))
    assert RopId.Logon not in blob, "else it would be looked at for that"
    call = carrying(session(), ALICE, rops(*before, tail=Container(kind, blob).pack()))
    assert refusal(call).return_value == ErrorCode.RpcFormat
    assert f"an unknown ROP 0x{kind:02X}" in caplog.text
    assert authorize(carrying(session(), ALICE, rops(RopWriteStreamRequest(0, 0, bytes([kind]) * 9)))) is None


def test_an_old_client_s_logon_that_is_not_obfuscated_is_found() -> None:
    """Not as libmapi sends it, but an upstream might read it."""
    for dn, allowed in ((BOB_DN, False), (ALICE_DN, True)):
        call = old_rpc(session(), ALICE, obfuscate(rops(logon(dn))))
        assert b"/cn=" in call.stub
        if allowed:
            assert authorize(call) is None
        else:
            assert refused(call) == FaultStatus.ACCESS_DENIED


@CARRYING
@pytest.mark.parametrize("around", [b"", b"\xfe\xfe", b"/o=", b"\0" * 40])
def test_a_foreign_logon_in_the_data_of_another_rop_is_refused(carrying: Making, around: bytes) -> None:
    """An upstream that reads the ROPs in front of it otherwise than we do might see it."""
    for dn, allowed in ((BOB_DN, False), (BOB_DN.upper(), False), (BOB_DN + "by", False), (ALICE_DN, True)):
        data = around + logon(dn).pack() + around
        call = carrying(session(), ALICE, rops(RopWriteStreamRequest(0, 0, data)))
        if allowed:
            assert authorize(call) is None
        else:
            assert refused(call) == FaultStatus.ACCESS_DENIED


def test_data_with_the_byte_of_a_logon_is_relayed() -> None:
    data = bytes(range(256)) * 100 + b"\xfe is no logon, and /o=Example/cn=bob no mailbox"
    for carrying in (rpc, old_rpc):
        assert authorize(carrying(session(), ALICE, rops(RopWriteStreamRequest(0, 0, data)))) is None


def test_a_few_bytes_cannot_ask_for_a_million_rops() -> None:
    many = rops(tail=b"\x01\x00\xfe" * 21_000)
    assert authorize(rpc(session(), ALICE, many, compress=True)) is None
    bomb = authorize(rpc(session(), ALICE, *[many] * 40, compress=True))
    assert cast("EcDoRpcExt2Response", bomb).return_value == ErrorCode.RpcFormat


@CARRYING
@pytest.mark.parametrize("disguised", [False, True])
def test_more_logons_than_any_client_sends_are_refused(carrying: Making, disguised: bool) -> None:
    directory = People()
    many = [logon(ALICE_DN)] * 100
    payload = rops(*([RopWriteStreamRequest(0, 0, b"".join(one.pack() for one in many))] if disguised else many))
    answer = refusal(carrying(session(), ALICE, payload), Authorizer(cast("Directory", directory)))
    assert answer.return_value == ErrorCode.RpcFormat
    assert directory.asked == []


@CARRYING
def test_a_foreign_logon_behind_many_that_look_like_one_s_own_is_found(carrying: Making) -> None:
    own = logon(ALICE_DN)
    for last, allowed in ((own, True), (logon(BOB_DN), False)):
        data = own.pack() * 200 + last.pack()
        call = carrying(session(), ALICE, rops(own, RopWriteStreamRequest(0, 0, data)))
        if allowed:
            assert authorize(call) is None
        else:
            assert refused(call) == FaultStatus.ACCESS_DENIED


def test_the_loop_goes_on_while_rops_are_read_and_the_directory_is_asked() -> None:
    threads = []

    class Slow(People):
        def by_legacy_dn(self, legacy_exchange_dn: str) -> Entry | None:
            threads.append(threading.current_thread())
            return super().by_legacy_dn(legacy_exchange_dn)

    assert authorize(rpc(session(), ALICE, rops(logon(ALICE_DN))), Authorizer(cast("Directory", Slow()))) is None
    assert threads
    assert threading.main_thread() not in threads


def test_a_directory_that_fails_lets_nobody_through(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(People):
        def by_account(self, account: str) -> Entry | None:
            raise DirectoryError("no such table")

    for call in (
        *(connecting(session(), ALICE, ALICE_DN) for connecting in (connect, old_connect)),
        *(carrying(session(), ALICE, rops(logon(ALICE_DN))) for carrying in (rpc, old_rpc)),
    ):
        with pytest.raises(RpcFault) as caught:
            authorize(call, Authorizer(cast("Directory", Failing())))
        assert status_of(caught) == FaultStatus.SERVER_UNAVAILABLE
    assert "no such table" in caplog.text
    assert "Traceback" not in caplog.text


def test_a_handle_that_looks_like_a_logon_is_none() -> None:
    buffer = RopBuffer([RopReleaseRequest(0, 0)], [0xFE])
    assert authorize(rpc(session(), ALICE, buffer.pack())) is None


def test_a_broken_extended_buffer_is_refused() -> None:
    call = rpc(session(), ALICE, rops())
    header = RpcHeaderExt(0, 2, 4, 5).pack() + obfuscate(b"\x02\x00\x00\x00")
    broken = rpc(session(), ALICE)
    broken.stub = call.stub[:24] + len(header).to_bytes(4, "little") + header + len(header).to_bytes(4, "little")
    broken.stub += (0x8000).to_bytes(4, "little") + bytes(8) + (0x1008).to_bytes(4, "little")
    answer = authorize(broken)
    assert cast("EcDoRpcExt2Response", answer).return_value == ErrorCode.RpcFormat


def test_most_calls_are_not_even_looked_up() -> None:
    directory = People()
    for carrying in (rpc, old_rpc):
        call = carrying(session(), ALICE, rops(RopReleaseRequest(0, 0)))
        assert authorize(call, Authorizer(cast("Directory", directory))) is None
    assert directory.asked == []


def test_anonymous_callers_never_reach_the_upstream() -> None:
    for call in (
        rpc(session(), ANONYMOUS, rops()),
        connect(session(), ANONYMOUS, ALICE_DN),
        old_rpc(session(), ANONYMOUS, rops()),
        old_connect(session(), ANONYMOUS, ALICE_DN),
        Call(RFR, 0, bytes(16), session(), ANONYMOUS),
    ):
        assert refused(call) == FaultStatus.ACCESS_DENIED


@pytest.mark.parametrize("opnum", [3, 5, 7, 8, 9, 12, 13, 15, 99])
def test_calls_that_nobody_checks_are_refused(opnum: int) -> None:
    assert refused(Call(EMSMDB, opnum, bytes(40), session(), ALICE)) == FaultStatus.ACCESS_DENIED


@pytest.mark.parametrize(("opnum", "name"), [(11, "NspiModProps"), (14, "NspiModLinkAtt")])
def test_changes_to_the_address_book_are_refused(opnum: int, name: str) -> None:
    assert NSPI.method_name(opnum) in (name, f"opnum {opnum}")
    assert refused(Call(NSPI, opnum, bytes(40), session(), ALICE)) == FaultStatus.ACCESS_DENIED
    assert authorize(Call(NSPI, 3, bytes(40), session(), ALICE)) is None


def test_every_interface_has_its_calls() -> None:
    assert set(RELAYED_CALLS) == {"exchange_emsmdb", "exchange_async_emsmdb", "exchange_nsp", "exchange_ds_rfr"}


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.binary(max_size=20))
def test_no_garbage_around_a_foreign_logon_lets_it_through(before: bytes, after: bytes) -> None:
    """Whatever stands around it: found, or refused as unreadable, as another ROP's data too."""
    for carrying in (rpc, old_rpc):
        call = carrying(session(), ALICE, rops(tail=before + logon(BOB_DN).pack() + after))
        with contextlib.suppress(RpcFault):
            assert authorize(call) is not None


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([0, 2, 10, 11]))
def test_any_stub_gives_an_answer_a_fault_or_a_decode_error(stub: bytes, opnum: int) -> None:
    call = Call(EMSMDB, opnum, HANDLE.uuid.bytes_le + stub, session(), ALICE)
    with contextlib.suppress(DecodeError, RpcFault):
        answer = authorize(call)
        assert answer is None or isinstance(answer, RpcMessage)


def test_the_test_handle_is_no_null_handle() -> None:
    assert uuid.UUID(int=0) != HANDLE.uuid
