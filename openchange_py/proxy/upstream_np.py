"""Connections to a server relayed to over named pipes: ncacn_np, SMB 2 and 3.

Who relays logs on twice with each pipe, at SMB and in the RPC bind; with the binding's flag `none` at SMB alone, of
which the level is then: `sign` signs, `seal` encrypts. Everything is signed at SMB in any case.
"""

from __future__ import annotations

import functools
import logging
from typing import Any

from openchange_py.auth.kerberos_initiator import SMB_SERVICE
from openchange_py.auth.spnego import SpnegoInitiator
from openchange_py.proxy.credentials import UpstreamCredentials
from openchange_py.proxy.upstream import TcpConnector, find_port
from openchange_py.rpc.binding import Binding
from openchange_py.rpc.call import Call, RpcFault
from openchange_py.rpc.security import AuthLevel, SecurityError
from openchange_py.transports import pipe_client
from openchange_py.transports.epmapper import NotRegistered
from openchange_py.transports.pipe_client import PipePlace
from openchange_py.transports.smb_client import SMB_PORT
from openchange_py.transports.tcp_client import AuthenticationFailed, BindError, ConnectionLost, RpcClient
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
        #: Whose call got a connection last, without its contents.
        self._known: Call | None = None

    async def probe(self, interface: RpcInterface) -> None:
        """See `TcpConnector.probe`: an anonymous bind, behind the SMB logon of the last caller who got in.

        SMB alone would answer for a server behind it that is gone, or hangs. Before there was a caller it must do.
        """
        known = self._known
        try:
            if known is not None:
                logon, pipe = await self._logon(known), await self._pipe(interface, known)
                client = await self._open(pipe, interface, logon)
                await client.close()
                return
        except NotRegistered:
            raise
        except AuthenticationFailed:
            self._known = None
        except (BindError, RpcFault):
            return
        await pipe_client.answers(self._server(), self._timeout)

    async def _connect(self, interface: RpcInterface, call: Call | None, assoc_group: int) -> RpcClient:
        """At the pipe that is known; who asks next asks the endpoint mapper again where that is lost."""
        assert call is not None, "only probes come without one"
        binding = self._binding
        pipe, logon = await self._pipe(interface, call), await self._logon(call)
        context = await self._context(call) if binding.nested else None
        level = binding.protection if binding.nested else AuthLevel.NONE
        try:
            client = await self._open(pipe, interface, logon, context=context, level=level, assoc_group=assoc_group)
        except AuthenticationFailed:
            raise
        except ConnectionLost:
            self._pipes.pop(interface.name, None)
            raise
        self._known = Call(call.interface, call.opnum, b"", call.session, call.caller)
        return client

    async def _open(self, pipe: str, interface: RpcInterface, logon: SpnegoInitiator, **options: Any) -> RpcClient:
        options |= {"connect_timeout": self._timeout, "stubs": self._binding.stubs}
        return await pipe_client.connect(self._server(pipe), logon, interface, **options)

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
