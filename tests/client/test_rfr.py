"""The referral service's client against the real server."""

from __future__ import annotations

import asyncio

import pytest

from openchange_py.client.rfr import RfrClient
from openchange_py.wire.oxabref import RFR, Name, RfrGetNewDSAResponse
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from tests.client.scripted import ScriptedChannel
from tests.node import FQDN, ORGANIZATION, SERVER_NAME, RunningNode


def test_both_calls(node: RunningNode) -> None:
    async def work() -> None:
        channel = await node.connector().connect(RFR)
        rfr = RfrClient(channel)
        assert await rfr.new_dsa() == FQDN
        assert await rfr.new_dsa(node.entry("alice").legacy_exchange_dn) == FQDN
        assert await rfr.fqdn_of(ORGANIZATION.server_dn(SERVER_NAME)) == FQDN
        with pytest.raises(MapiError, match="NotFound: RfrGetFQDNFromServerDN"):
            await rfr.fqdn_of(ORGANIZATION.server_dn("OTHER"))
        await channel.close()

    asyncio.run(work())


@pytest.mark.parametrize("server", [None, Name(None), Name(b"")])
def test_a_referral_to_nowhere(server: Name | None) -> None:
    channel = ScriptedChannel(lambda request: RfrGetNewDSAResponse(None, server, 0))
    with pytest.raises(MapiError, match="named no server"):
        asyncio.run(RfrClient(channel).new_dsa())  # type: ignore[arg-type]


def test_an_error_names_its_call() -> None:
    channel = ScriptedChannel(lambda request: RfrGetNewDSAResponse(None, None, ErrorCode.GeneralFailure))
    with pytest.raises(MapiError, match="GeneralFailure: RfrGetNewDSA"):
        asyncio.run(RfrClient(channel).new_dsa())  # type: ignore[arg-type]
