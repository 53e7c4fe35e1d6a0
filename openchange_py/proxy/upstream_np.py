"""Connections to a server relayed to over named pipes: ncacn_np, SMB 2 and 3.

Who relays logs on twice with each pipe, at SMB and in the RPC bind; with the binding's flag `none` at SMB alone, of
which the level is then: `sign` signs, `seal` encrypts. Everything is signed at SMB in any case.
"""

from __future__ import annotations

import functools
import logging

from openchange_py.auth.kerberos_initiator import SMB_SERVICE
from openchange_py.auth.spnego import SpnegoInitiator
from openchange_py.proxy.credentials import UpstreamCredentials
from openchange_py.proxy.upstream import TcpConnector, find_port
from openchange_py.rpc.binding import Binding
from openchange_py.rpc.call import Call
from openchange_py.rpc.security import AuthLevel, SecurityError
from openchange_py.transports import pipe_client
from openchange_py.transports.pipe_client import PipePlace
from openchange_py.transports.smb_client import SMB_PORT
from openchange_py.transports.tcp_client import AuthenticationFailed, ConnectionLost, RpcClient
from openchange_py.wire.ndr import RpcInterface

logger = logging.getLogger(__name__)


class PipeConnector(TcpConnector):
    """A `TcpConnector` through named pipes, each with an SMB connection of its own. `port` is SMB's."""

    def __init__(
        self, binding: Binding, credentials: UpstreamCredentials, timeout: float = 30.0, *, port: int = SMB_PORT
    ) -> None:
        super().__init__(binding, credentials, find_port, timeout)
        name = self._name = binding.target_hostname or binding.host
        encrypt = not binding.nested and binding.protection >= AuthLevel.PRIVACY
        self._server = functools.partial(
            PipePlace, binding.host, port=port, name=name, encrypt=encrypt, local_address=binding.local_address
        )
        #: By interface; what the endpoint mapper told.
        self._pipes: dict[str, str] = {}

    async def probe(self, interface: RpcInterface) -> None:
        """See `TcpConnector.probe`: whether the server speaks SMB."""
        await pipe_client.answers(self._server(), self._timeout)

    async def _connect(self, interface: RpcInterface, call: Call | None, assoc_group: int) -> RpcClient:
        """At the pipe that is known; who asks next asks the endpoint mapper again where that is lost."""
        assert call is not None, "only probes come without one"
        binding, place = self._binding, self._server(await self._pipe(interface, call))
        try:
            return await pipe_client.connect(
                place,
                await self._logon(call),
                interface,
                context=await self._context(call) if binding.nested else None,
                level=binding.protection if binding.nested else AuthLevel.NONE,
                assoc_group=assoc_group,
                connect_timeout=self._timeout,
                stubs=binding.stubs,
            )
        except AuthenticationFailed:
            raise
        except ConnectionLost:
            self._pipes.pop(interface.name, None)
            raise

    async def _logon(self, call: Call) -> SpnegoInitiator:
        """The relay's at SMB."""
        target, mechanism = f"{SMB_SERVICE}/{self._name}", self._binding.mechanism
        try:
            inner = await self._credentials.context(call, target, AuthLevel.INTEGRITY, mechanism)
        except SecurityError as error:
            raise AuthenticationFailed(f"{self._binding}: no credentials for {call.caller}: {error}") from error
        return SpnegoInitiator(inner)

    async def _pipe(self, interface: RpcInterface, call: Call) -> str:
        if self._binding.pipe:
            return self._binding.pipe
        pipe = self._pipes.get(interface.name)
        if pipe is None:
            found = pipe_client.find_pipe(
                self._server(), await self._logon(call), interface, connect_timeout=self._timeout
            )
            pipe = self._pipes[interface.name] = await found
            logger.info("%s is at pipe %s of %s", interface.name, pipe, self._binding.host)
        return pipe
