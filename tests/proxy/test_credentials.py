"""Who authenticates toward the upstream."""

from __future__ import annotations

import asyncio

from openchange_py.config.routes import Credentials
from openchange_py.proxy.credentials import SpecifiedAccount
from openchange_py.rpc.security import AuthLevel
from tests.auth.ntlm_parties import PASSWORD, authenticator
from tests.proxy.parties import number_call


def test_every_connection_authenticates_anew_as_the_specified_account() -> None:
    account = SpecifiedAccount(Credentials("alice", "EXAMPLE", PASSWORD))
    for _ in range(2):
        initiator = asyncio.run(account.context(number_call(), "exchangeMDB/exch1.example.test", AuthLevel.PRIVACY))
        acceptor = authenticator().acceptor(initiator.auth_type, "192.0.2.1:1024")
        assert acceptor is not None
        token = b""
        while not (initiator.complete and acceptor.complete):
            token = acceptor.step(initiator.step(token))
        assert acceptor.identity is not None
        assert acceptor.identity.account == "alice"
