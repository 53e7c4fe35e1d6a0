"""A resource behind an authentication: 401 and who is who, over real connections."""

from __future__ import annotations

import base64

from openchange_py.auth.http import WebLogons
from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.rpc.metrics import Metrics
from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.http import HttpLimits, HttpServer
from openchange_py.transports.web_logon import Authenticated
from tests.auth.ntlm_parties import PASSWORD, authenticator
from tests.transports.http_parties import Everything, get, raw_client
from tests.transports.serving import run


def test_ntlm_on_one_connection_and_nobody_on_the_other() -> None:
    async def main() -> None:
        resource, metrics = Everything(), Metrics()
        guarded = Authenticated(resource, WebLogons(authenticator()), metrics)
        server = HttpServer({"/x": guarded}, metrics=metrics, limits=HttpLimits(connections=2))
        _, port = await server.start("127.0.0.1", 0)
        async with raw_client(port) as client, raw_client(port) as other:
            status, fields, _ = await client.answer(get("/x/echo", method="POST", body="discarded"))
            assert (status, fields["www-authenticate"]) == (401, "NTLM")  # the last of two
            initiator = NtlmInitiator(NtlmCredential.from_password("alice", "", PASSWORD), level=AuthLevel.CONNECT)
            token = initiator.step(b"")
            for expected in (401, 200):
                field = f"Authorization: NTLM {base64.b64encode(token).decode('ascii')}"
                status, fields, body = await client.answer(get("/x/echo", field, method="POST", body="text"))
                assert status == expected
                if status == 401:
                    token = initiator.step(base64.b64decode(fields["www-authenticate"].removeprefix("NTLM ")))
            assert body == b"text"
            assert (await client.answer(get("/x/echo")))[0] == 200
            assert [request.caller.account for request in resource.requests] == ["alice", "alice"]
            assert (await other.answer(get("/x/echo")))[0] == 401
            twice = get("/x/echo", "Authorization: Basic YQ==", "Authorization: Basic Yg==")
            assert (await other.answer(twice))[0] == 400
            async with raw_client(port) as third:  # the stranger gives way, alice does not
                assert (await third.answer(get("/x/echo")))[0] == 401
            assert (await client.answer(get("/x/echo")))[0] == 200
        await server.stop()
        assert metrics.authentications == {("http ntlm", "success"): 1}

    run(main)
