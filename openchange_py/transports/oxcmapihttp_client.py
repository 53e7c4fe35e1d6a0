"""MAPI over HTTP, the client's side: [MS-OXCMAPIHTTP] 3.1. Calls of RPC go in, and responses of RPC come out.

    client = await MapiHttpClient.connect(endpoint, EMSMDB, initiator)
    stub = await client.call(11, request.pack())
    await client.close()

What a call becomes is in `oxcmapihttp_bridge`. A client is one HTTP connection, opened again where the server closed it
between two requests, since sessions are not bound to it. Several share their sessions in a `SessionGroup`, which are
kept alive with PING, and ended with the last of them.

X-ResponseCode as a fault: see `_FAULTS`; what is none of them is RPC_S_CALL_FAILED. HTTP's 401 is access denied, 503 is
server too busy, and any other status a lost connection.
Not done: redirections, asking again for an answer that got lost.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
import uuid
from typing import Final, Self

from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.rpc.web_logon import WebInitiator
from openchange_py.transports.http_client import HttpAnswer, HttpClient, Place
from openchange_py.transports.http_message import Field
from openchange_py.transports.oxcmapihttp_bridge import Ask, MapiBridge, MapiContext, SessionGroup
from openchange_py.transports.tasks import in_thread_if_long, spawn
from openchange_py.transports.tcp_client import BindError, ConnectionLost, NoAnswer
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import RpcInterface
from openchange_py.wire.oxcmapihttp import CONTENT_TYPE, ResponseCode, split_answer

_log: Final = logging.getLogger(__name__)

#: What faults tell a client of RPC, by X-ResponseCode (2.2.3.3.3).
_FAULTS: Final[dict[int, int]] = {
    ResponseCode.InvalidRequestType: FaultStatus.OP_RANGE_ERROR,
    ResponseCode.InvalidContextCookie: FaultStatus.CONTEXT_MISMATCH,
    ResponseCode.AnonymousNotAllowed: FaultStatus.ACCESS_DENIED,
    ResponseCode.TooLarge: FaultStatus.BAD_STUB_DATA,
    ResponseCode.ContextNotFound: FaultStatus.CONTEXT_MISMATCH,
    ResponseCode.NoPrivilege: FaultStatus.ACCESS_DENIED,
    ResponseCode.InvalidRequestBody: FaultStatus.BAD_STUB_DATA,
    ResponseCode.MissingCookie: FaultStatus.CONTEXT_MISMATCH,
    ResponseCode.InvalidSequence: FaultStatus.CONTEXT_MISMATCH,
    ResponseCode.EndpointDisabled: FaultStatus.UNKNOWN_INTERFACE,
    ResponseCode.EndpointShuttingDown: FaultStatus.SERVER_UNAVAILABLE,
}
#: What a server may have us keep for a session.
_MAXIMUM_COOKIES: Final = 16
_LONGEST_COOKIE: Final = 4096
#: Requests beside a session's others, whose answers may come behind that of a later one: their cookies are old then.
_BESIDE: Final = frozenset({"NotificationWait", "PING"})
#: Sessions are refreshed when half of their life is over, but not more often than this (seconds).
_SHORTEST_REFRESH: Final = 10.0


@dataclasses.dataclass(frozen=True, slots=True)
class MapiEndpoints:
    """Where both endpoints are: below `path`, `/mapi/`, with a query such as `MailboxId=...`."""

    place: Place
    path: str = "/mapi/"
    query: str = ""

    def target(self, endpoint: str) -> str:
        """What stands in the request line."""
        return f"{self.path}{endpoint}/" + (f"?{self.query}" if self.query else "")


class MapiHttpClient:
    """A connection for one interface, as `RpcClient` is one over TCP: calls one after the other."""

    def __init__(
        self, endpoints: MapiEndpoints, interface: RpcInterface, initiator: WebInitiator, group: SessionGroup
    ) -> None:
        self._endpoints = endpoints
        self._initiator = initiator
        self._group = group
        #: The group counts it.
        self._member = False
        self._bridge = MapiBridge(interface, group, self._ask, endpoints.place.name or endpoints.place.host)
        self._http: HttpClient | None = None
        self._turn = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._id = str(uuid.uuid4()).upper()
        self._lost: ConnectionLost | None = None
        self._connect_timeout = 30.0
        self._call_timeout: float | None = None
        #: When the call in flight began, on the loop's clock; None without one.
        self._began: float | None = None
        self._refresh: asyncio.TimerHandle | None = None
        #: What its owner knows the server by.
        self.upstream = ""

    @classmethod
    async def connect(
        cls,
        endpoints: MapiEndpoints,
        interface: RpcInterface,
        initiator: WebInitiator,
        *,
        group: SessionGroup | None = None,
        connect_timeout: float = 30.0,
        call_timeout: float | None = None,
    ) -> Self:
        """Connect and log on, in seconds. Raises `ConnectionLost`: `BindError` where the server answered, and refused.

        `group` is that of the other connections of the same client; without it nothing is shared.
        """
        client = cls(endpoints, interface, initiator, group or SessionGroup())
        client._connect_timeout, client._call_timeout = connect_timeout, call_timeout
        await client._connection()
        client._group.members += 1
        client._member = True
        return client

    @property
    def assoc_group(self) -> int:
        """The number of its group of sessions."""
        return self._group.number

    @property
    def peer(self) -> str:
        """Address and port of the server."""
        return self._http.peer if self._http is not None else "?"

    @property
    def server_names(self) -> tuple[str, ...]:
        """What the server calls itself, where its authentication tells, and its address."""
        return self._http.server_names if self._http is not None else ()

    @property
    def connected(self) -> bool:
        """Calls can be made; a connection that the server closed meanwhile is opened again for them."""
        return self._lost is None

    @property
    def waiting(self) -> float:
        """Seconds since the server's last sign of life in the call in flight; 0 without one."""
        if self._began is None or self._http is None:
            return 0.0
        return asyncio.get_running_loop().time() - max(self._began, self._http.last_sign)

    async def call(
        self, opnum: int, stub: bytes, object_uuid: uuid.UUID | None = None, *, call_timeout: float | None = None
    ) -> bytes:
        """The response stub. Raises `RpcFault`, `ConnectionLost`, `NoAnswer` where it takes longer (seconds)."""
        async with self._turn:
            if self._lost is not None:
                raise self._loss()
            limit = call_timeout or self._call_timeout
            self._began = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(limit):
                    return await self._bridge.call(opnum, stub)
            except TimeoutError:
                self._lost = NoAnswer(f"{self.peer}: no answer within {limit:g} s")
                raise self._loss() from None
            except DecodeError as error:
                raise RpcFault(FaultStatus.BAD_STUB_DATA, str(error)) from error
            except asyncio.CancelledError:
                self.abort("a call was cancelled")
                raise
            finally:
                self._began = None
                if self._lost is None:
                    self._refresh_later()

    def abort(self, reason: str) -> None:
        """Give the connection up at once; a call in flight raises `ConnectionLost`."""
        self._lost = self._lost or ConnectionLost(f"{self.peer}: {reason}")
        if self._http is not None:
            self._http.abort(reason)

    async def close(self) -> None:
        """Close the connection; a call in flight fails. With the group's last one its sessions are ended."""
        quiet = not self._turn.locked()
        first, self._lost = self._lost is None, self._lost or ConnectionLost(f"{self.peer}: closed here")
        if self._refresh is not None:
            self._refresh.cancel()
        http, self._refresh = self._http, None
        if self._member:
            self._member = False
            self._group.members -= 1
            if not self._group.members and first and quiet and http is not None and http.connected:
                await self._bridge.end_sessions()
        if http is not None:
            await http.close()

    # Requests

    async def _ask(self, ask: Ask) -> bytes:
        """The body of an answer whose X-ResponseCode is Success. Raises `RpcFault`, `ConnectionLost`."""
        http = await self._connection()
        request_id = self._request_id()
        fields = self._fields(ask, request_id)
        try:
            answer = await http.request("POST", self._endpoints.target(ask.endpoint), fields, ask.body)
        except ConnectionLost as error:
            self._lost = self._lost or error
            raise
        body = await in_thread_if_long(len(answer.body), _result, answer, http.peer, request_id)
        if ask.context is not None:
            _keep(ask.context, answer, ask.name not in _BESIDE)
            ask.context.used = asyncio.get_running_loop().time()
        self._bridge.server_application = answer.headers.get("x-serverapplication")
        return body

    async def _connection(self) -> HttpClient:
        """One that is logged on. Raises `ConnectionLost`."""
        if self._http is None or not self._http.connected:
            try:
                async with asyncio.timeout(self._connect_timeout):
                    self._http = await self._logged_on()
            except TimeoutError:
                place = self._endpoints.place
                text = f"{place.host}:{place.port} did not answer within {self._connect_timeout:g} s"
                raise ConnectionLost(text) from None
        return self._http

    async def _logged_on(self) -> HttpClient:
        http = await HttpClient.connect(self._endpoints.place)
        try:
            request_id = self._request_id()
            ask = Ask(self._bridge.endpoint, "PING", b"")
            target = self._endpoints.target(ask.endpoint)
            answer = await http.log_on(self._initiator, "POST", target, self._fields(ask, request_id))
            try:
                _result(answer, http.peer, request_id)
            except RpcFault as fault:
                raise BindError(f"{http.peer}: {fault}") from fault
        except BaseException:
            http.abort("not logged on")
            raise
        return http

    def _request_id(self) -> str:
        return f"{{{self._id}}}:{next(self._numbers)}"

    def _fields(self, ask: Ask, request_id: str) -> list[Field]:
        fields = [
            ("Content-Type", CONTENT_TYPE),
            ("Accept", CONTENT_TYPE),
            ("User-Agent", "openchange_py"),
            ("X-RequestType", ask.name),
            ("X-RequestId", request_id),
            ("X-ClientInfo", request_id),
            ("X-ClientApplication", f"Outlook/{self._group.client_version}"),
        ]
        if ask.context is not None and ask.context.cookies:
            cookies = "; ".join(f"{name}={value}" for name, value in ask.context.cookies.items())
            fields.append(("Cookie", cookies))
        return fields

    def _loss(self) -> ConnectionLost:
        assert self._lost is not None
        return type(self._lost)(str(self._lost))

    # Keeping sessions: 3.1.5.3

    def _refresh_later(self) -> None:
        lives = [context.life for context in self._contexts() if context.life]
        if self._refresh is not None or not lives:
            return
        seconds = max(_SHORTEST_REFRESH, min(lives) / 2)
        self._refresh = asyncio.get_running_loop().call_later(seconds, self._refresh_now)

    def _refresh_now(self) -> None:
        self._refresh = None
        if self._lost is None:
            spawn(self._ping(), f"refreshing sessions at {self.peer}")

    async def _ping(self) -> None:
        async with self._turn:
            if self._lost is not None:
                return
            now = asyncio.get_running_loop().time()
            for context in self._contexts():
                # Half of its life, and some more for what a timer may be late.
                if context.life and now - context.used > context.life / 4:
                    try:
                        await self._ask(Ask(context.endpoint, "PING", b"", context))
                    except (RpcFault, ConnectionLost) as error:
                        _log.info("%s: a session was not refreshed: %s", self.peer, error)
        if self._lost is None:
            self._refresh_later()

    def _contexts(self) -> list[MapiContext]:
        return [context for context in self._group.contexts.values() if context.endpoint == self._bridge.endpoint]


def _result(answer: HttpAnswer, peer: str, request_id: str) -> bytes:
    """The body of a response that is in order. Raises `RpcFault`, `ConnectionLost`: 2.2.2.2, 3.1.5.6."""
    if answer.status == 401:
        raise RpcFault(FaultStatus.ACCESS_DENIED, f"{peer} does not believe the logon any more")
    if answer.status == 503:
        raise RpcFault(FaultStatus.SERVER_TOO_BUSY, f"{peer} is too busy")
    if answer.status != 200:
        raise ConnectionLost(f"{peer}: HTTP status {answer.status}")
    _check_code(answer.headers.get("x-responsecode"), peer)
    if answer.headers.get("x-requestid", request_id).strip() != request_id:
        raise ConnectionLost(f"{peer}: the answer to another request")
    kind = answer.headers.get("content-type").partition(";")[0].strip().lower()
    if kind != CONTENT_TYPE:
        raise ConnectionLost(f"{peer}: the answer is no {CONTENT_TYPE}")
    try:
        fields, body = split_answer(answer.body)
    except DecodeError as error:
        raise RpcFault(FaultStatus.CALL_FAILED, f"the answer of {peer} is malformed: {error}") from error
    if "x-responsecode" in fields:
        _check_code(fields["x-responsecode"], peer)
    return body


def _check_code(text: str, peer: str) -> None:
    try:
        code = int(text)
    except ValueError:
        raise ConnectionLost(f"{peer}: X-ResponseCode {text[:20]!r}") from None
    if code != ResponseCode.Success:
        known = {int(member): member.name for member in ResponseCode}
        status = _FAULTS.get(code, FaultStatus.CALL_FAILED)
        raise RpcFault(status, f"{peer}: X-ResponseCode {code} ({known.get(code, 'unknown')})")


def _keep(context: MapiContext, answer: HttpAnswer, cookies: bool) -> None:
    """Cookies, where it is the turn of this answer, and life of a session: 2.2.3.2.3, 2.2.3.3.6."""
    for field in answer.headers.all("set-cookie") if cookies else ():
        name, _, value = field.partition(";")[0].strip().partition("=")
        fits = len(name) + len(value) <= _LONGEST_COOKIE
        if name and fits and (name in context.cookies or len(context.cookies) < _MAXIMUM_COOKIES):
            context.cookies[name.strip()] = value.strip()
    told = answer.headers.get("x-expirationinfo").strip()
    if told.isascii() and told.isdigit() and len(told) < 12:
        context.life = int(told) / 1000
