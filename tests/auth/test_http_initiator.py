"""Which scheme a client takes of those that a server offers; logons themselves: `transports/test_http_client.py`."""

from __future__ import annotations

import asyncio
import base64

import pytest

from openchange_py.auth.channel_binding import ChannelBindings
from openchange_py.auth.http_initiator import MechanismLogon, PasswordLogon
from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.auth.spnego import Mechanism, SpnegoInitiator
from openchange_py.rpc.security import AuthLevel, SecurityError
from openchange_py.wire.ntlm import AuthenticateMessage, AvId, NtlmV2ClientChallenge, av_value
from tests.auth.ntlm_parties import PASSWORD, acceptor


async def make(bindings: ChannelBindings | None) -> Mechanism:
    return NtlmInitiator(NtlmCredential.from_password("alice", "", PASSWORD), level=AuthLevel.CONNECT)


@pytest.mark.parametrize(
    ("offered", "spnego", "scheme"),
    [
        (["negotiate", "ntlm", "basic"], False, "NTLM"),
        (["negotiate", "ntlm"], True, "Negotiate"),
        (["negotiate"], False, "Negotiate"),
    ],
)
def test_ntlm_stands_alone_where_it_may(offered: list[str], spnego: bool, scheme: str) -> None:
    credentials = asyncio.run(MechanismLogon(make, spnego=spnego).answer(offered, True, None))
    assert credentials.scheme == scheme
    assert isinstance(credentials.context, SpnegoInitiator if scheme == "Negotiate" else NtlmInitiator)


def test_the_tls_channel_is_named() -> None:
    end_point = b"hash of a certificate"
    context = asyncio.run(MechanismLogon(make).answer(["ntlm"], True, end_point)).context
    assert context is not None
    message = AuthenticateMessage.unpack(context.step(acceptor().step(context.step(b""))))
    blob = NtlmV2ClientChallenge.unpack(message.nt_challenge_response[16:])
    assert av_value(blob.av_pairs, AvId.CHANNEL_BINDINGS) == ChannelBindings(end_point).ntlm_hash


def test_basic_goes_through_tls_alone() -> None:
    logon = PasswordLogon("älice", "geheim:1")
    credentials = asyncio.run(logon.answer(["basic"], True, None))
    assert base64.b64decode(credentials.secret).decode() == "älice:geheim:1"
    assert credentials.secret not in repr(credentials)
    with pytest.raises(SecurityError, match="without TLS"):
        asyncio.run(logon.answer(["basic"], False, None))


@pytest.mark.parametrize("logon", [MechanismLogon(make), PasswordLogon("alice", PASSWORD)])
def test_a_server_that_offers_nothing_that_fits(logon: PasswordLogon) -> None:
    with pytest.raises(SecurityError, match="among what the server offers: digest"):
        asyncio.run(logon.answer(["digest"], True, None))
