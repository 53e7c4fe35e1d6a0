"""What both endpoints of MAPI over HTTP do alike, the server's side: [MS-OXCMAPIHTTP] 3.2.

An answer that comes soon is sent at once, with everything in it; else the response begins with PROCESSING, and PENDING
tells every `pending_seconds` that the client should wait on. A call goes on where its client goes away, and who asks
again with the same request id gets its answer.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import re
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from openchange_py.rpc.call import Call, CallHandler, FaultStatus, RpcFault
from openchange_py.rpc.log_context import LogFields, set_log_context
from openchange_py.rpc.metrics import Metrics
from openchange_py.transports.colleagues import Colleagues
from openchange_py.transports.http_message import Field, HttpError
from openchange_py.transports.http_passing import RequestPassing
from openchange_py.transports.http_request import HttpRequest
from openchange_py.transports.oxcmapihttp_fields import (
    CONTEXT_COOKIE,
    SEQUENCE_COOKIE,
    Refused,
    check_head,
    client_version,
    cookie_fields,
    diagnosis,
    last_fields,
    request_id,
    request_type,
    response_fields,
)
from openchange_py.transports.oxcmapihttp_sessions import (
    MapiSession,
    MapiSessions,
    SessionLimits,
    TooManySessions,
    owner_of,
)
from openchange_py.transports.tasks import done_within, spawn
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.codecs import Structure
from openchange_py.wire.ndr import NULL_HANDLE, RpcInterface, RpcMessage
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcmapihttp import (
    CONTENT_TYPE,
    PENDING,
    PROCESSING,
    ResponseCode,
    pack_answer,
)
from openchange_py.wire.oxcmapihttp_calls import Translation
from openchange_py.wire.oxcrpc import (
    EMSMDB,
    EcDoConnectExRequest,
)

_log: Final = logging.getLogger(__name__)

#: Seconds in which an answer is waited for before its response is begun without it.
_SOON: Final = 0.5
_OPAQUE_COOKIE: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """A request's result: the body, and the session whose cookies go with it."""

    body: bytes
    session: MapiSession | None = None


#: Answers one type of requests, by its head and body. Raises `Refused`.
AnswerRequest = Callable[[HttpRequest, bytes], Coroutine[Any, Any, Answer]]


@dataclasses.dataclass(frozen=True, slots=True)
class EndpointLimits:
    """What an endpoint grants."""

    sessions: SessionLimits = dataclasses.field(default_factory=SessionLimits)
    #: What clients are told to wait for between two signs of life.
    pending_seconds: float = 30.0
    #: A NotificationWait is answered by then, whatever happened ([MS-OXCMAPIHTTP] 3.2.5.5: 5 minutes).
    wait_seconds: float = 300.0
    body_size: int = 1 << 20


class MapiEndpoint:
    """One of both endpoints, a resource behind an authentication. `opening` and `closing` begin and end sessions.

    With `colleagues` it is one of several processes: requests whose session is another's are answered by that one.
    """

    def __init__(
        self,
        path: str,
        translations: Mapping[str, Translation],
        opening: str,
        closing: str,
        handler: CallHandler,
        *,
        limits: EndpointLimits | None = None,
        metrics: Metrics | None = None,
        colleagues: Colleagues | None = None,
    ) -> None:
        self.limits = limits or EndpointLimits()
        self._path = path
        self._translations = translations
        self._opening, self._closing = opening, closing
        self._handler = handler
        self._metrics = metrics or Metrics()
        share = colleagues.share if colleagues is not None else None
        self.sessions = MapiSessions(self.limits.sessions, handler.unbind, "mapihttp", share)
        self._passing = RequestPassing(colleagues, path, self) if colleagues is not None else None
        #: Requests that wait for events, and when they have waited long enough, on the loop's clock.
        self._waiting: dict[asyncio.Task[Any], float] = {}
        self._stopping = False
        self._types = frozenset({*translations, *self._others()})

    def shut_down(self) -> None:
        """See `HttpResource.shut_down`: who waits for notifications is answered."""
        self._stopping = True
        for task in self._waiting:
            task.cancel()

    async def stop(self) -> None:
        """End all sessions; no request is being answered any more, but for those of other processes' connections."""
        if self._passing is not None:
            await self._passing.stop()
        await self.sessions.close_all()

    async def handle(self, request: HttpRequest) -> None:
        """See `HttpResource.handle`. The status is 200 whatever X-ResponseCode says (2.2.2.2)."""
        started = time.time()
        try:
            if request.method == "OPTIONS":
                await request.respond(200, fields=[("Allow", "POST, OPTIONS")])
                return
            body = await self._checked(request)
            if self._passing is not None and (process := self._elsewhere(request)) is not None:
                if not await self._passing.pass_on(request, body, process):
                    raise Refused(ResponseCode.ContextNotFound, "the process that had the session is gone")
                return
            work = spawn(self._outcome(request, body), f"request of {request.channel.peer}")
            try:
                await self._respond(request, work, started)
            except (ConnectionError, asyncio.CancelledError):
                if work in self._waiting:
                    work.cancel()  # nobody is there to be told of events
                raise
        except Refused as refusal:
            await self._refuse(request, refusal)
        except HttpError as error:
            if error.status != 413:
                raise
            await self._refuse(request, Refused(ResponseCode.TooLarge, error.text))

    def _elsewhere(self, request: HttpRequest) -> int | None:
        """Which other process has the request's session. A new one is opened where the client is."""
        cookie = request.headers.cookies().get(CONTEXT_COOKIE)
        opens = request_type(request) == self._opening.lower()
        return None if cookie is None or opens else self.sessions.elsewhere(cookie)

    # The request's head

    async def _checked(self, request: HttpRequest) -> bytes:
        """The body of a request whose head is in order. Raises `Refused`."""
        check_head(request, self._path, self._types)
        if self._stopping:
            raise Refused(ResponseCode.EndpointShuttingDown, "the server stops")
        return await request.read(self.limits.body_size)

    def _others(self) -> dict[str, AnswerRequest]:
        """Request types that are no single call."""
        return {"ping": self._ping}

    async def _outcome(self, request: HttpRequest, body: bytes) -> Answer | Refused:
        """What a request is answered with, whatever happens; a task of its own, which outlives its client."""
        try:
            return await self._answer(request, body)
        except Refused as refusal:
            return refusal
        except Exception:
            _log.exception("%s failed", request)
            return Refused(ResponseCode.UnknownFailure, "internal error; the server's log says more")

    async def _answer(self, request: HttpRequest, body: bytes) -> Answer:
        """What a request is answered with. Raises `Refused`."""
        kind = request_type(request)
        other = self._others().get(kind)
        try:
            if other is not None:
                return await other(request, body)
            translation = self._translations[kind]
            if translation.name == self._opening:
                return await self._open(request, translation, body)
            return await self._call_in_session(request, translation, body)
        except DecodeError as error:
            raise Refused(ResponseCode.InvalidRequestBody, str(error)) from error
        except RpcFault as fault:
            raise Refused(_CODES.get(fault.status, ResponseCode.UnknownFailure), str(fault)) from fault
        except EncodeError as error:
            _log.error("%s: the answer can't be sent: %s", request, error)
            raise Refused(ResponseCode.UnknownFailure, "the answer can't be sent") from error

    # Sessions

    async def _open(self, request: HttpRequest, translation: Translation, body: bytes) -> Answer:
        """Connect and Bind: a fresh session, whatever cookies come along (3.2.5.1)."""
        asked = translation.request_body.unpack(body)
        message = translation.request(asked, NULL_HANDLE)
        if isinstance(message, EcDoConnectExRequest):
            message.client_version = client_version(request)
        try:
            session = self.sessions.open(request.caller, request.channel.peer)
        except TooManySessions as error:
            _log.warning("%s: %s", request, error)
            return Answer(translation.failed(ErrorCode.TooManySessions).pack())
        session.busy += 1
        opened = False
        try:
            response = await self._call(request, session, translation.interface, translation.opnum, message)
            handle = response.cxh if translation.interface is EMSMDB else response.context_handle
            session.handle = handle
            opened = session.handle != NULL_HANDLE
            packed = translation.body(asked, response).pack()
            return Answer(packed, session if opened else None)
        finally:
            self._done(session, ended=not opened)

    async def _call_in_session(self, request: HttpRequest, translation: Translation, body: bytes) -> Answer:
        session = self._session(request)
        session.busy += 1
        try:
            async with session.turn:
                repeated = self._repeated(request, session)
                if repeated is not None:
                    return repeated
                asked = translation.request_body.unpack(body)
                session.accepted()
                packed, ended = await self._called(request, session, translation, asked)
                session.answered(request_id(request), packed)
                if ended:
                    self.sessions.close(session)
                return Answer(packed, session)
        finally:
            self._done(session)

    async def _called(
        self, request: HttpRequest, session: MapiSession, translation: Translation, asked: Structure
    ) -> tuple[bytes, bool]:
        """The answer's body, and whether the session ended with it."""
        message = translation.request(asked, session.handle)
        try:
            response = await self._call(request, session, translation.interface, translation.opnum, message)
        except RpcFault as fault:
            if fault.status != FaultStatus.OP_RANGE_ERROR:
                raise
            return translation.failed(ErrorCode.NotSupported).pack(), False
        # A null handle in an answer means that the server gave the session up ([MS-OXCRPC] 3.1.4.2).
        handle = getattr(response, "cxh", session.handle)
        ended = translation.name == self._closing or handle == NULL_HANDLE
        return translation.body(asked, response).pack(), ended

    def _session(self, request: HttpRequest) -> MapiSession:
        """The caller's session that the cookie names. Raises `Refused`."""
        cookies = request.headers.cookies()
        cookie = cookies.get(CONTEXT_COOKIE)
        if cookie is None:
            raise Refused(ResponseCode.MissingCookie, f"no cookie {CONTEXT_COOKIE}")
        if not _OPAQUE_COOKIE.fullmatch(cookie):
            raise Refused(ResponseCode.InvalidContextCookie, f"the cookie {CONTEXT_COOKIE} is none of ours")
        session = self.sessions.find(cookie)
        if session is None:
            raise Refused(ResponseCode.ContextNotFound, "the session ended, or never was")
        if session.owner != owner_of(request.caller):
            _log.warning("%s: the cookie of another account's session", request)
            raise Refused(ResponseCode.NoPrivilege, "another account's session")
        self.sessions.touch(session)
        return session

    def _repeated(self, request: HttpRequest, session: MapiSession) -> Answer | None:
        """The answer again, for who did not get it. Raises `Refused` for a request out of its order: 3.2.5.2."""
        if session.ended:
            raise Refused(ResponseCode.ContextNotFound, "the session ended")
        sequence = request.headers.cookies().get(SEQUENCE_COOKIE)
        if sequence is None:
            raise Refused(ResponseCode.MissingCookie, f"no cookie {SEQUENCE_COOKIE}")
        if sequence == session.sequence:
            return None
        if sequence != session.previous:
            raise Refused(ResponseCode.InvalidSequence, "not the sequence that this session is at")
        if request_id(request) != session.last_request:
            return None
        if session.last_answer is None:
            # What it did is done: it must not be done twice.
            raise Refused(ResponseCode.InvalidSequence, "it was executed, and its answer is not kept")
        _log.info("%s: asked again, answered again", request)
        return Answer(session.last_answer, session)

    def _done(self, session: MapiSession, *, ended: bool = False) -> None:
        session.busy -= 1
        if ended:
            self.sessions.close(session)
        else:
            self.sessions.touch(session)

    async def _call(
        self, request: HttpRequest, session: MapiSession, interface: RpcInterface, opnum: int, message: RpcMessage
    ) -> Any:
        """The response of one call. Raises `RpcFault`."""
        call = Call(interface, opnum, message.pack(), session.session, request.caller)
        set_log_context(_LoggedCall(request, call))
        started = time.perf_counter()
        try:
            reply = await self._handler.handle(call)
        except RpcFault as fault:
            _log.info("%s %s: %s", request, call.name, fault)
            self._metrics.fault(fault.status)
            raise
        finally:
            self._metrics.call(interface, opnum, time.perf_counter() - started)
        method = interface.methods[opnum]
        assert method.response is not None
        try:
            return method.response.unpack(reply)
        except DecodeError as error:
            _log.error("%s %s: a response that nobody can read: %s", request, call.name, error)
            raise RpcFault(FaultStatus.CALL_FAILED, "bad response") from error

    async def _ping(self, request: HttpRequest, body: bytes) -> Answer:
        """2.2.6: whether the endpoint can be reached. A session's life goes on with it."""
        session = self._own_session(request)
        if session is not None:
            self.sessions.touch(session)
        return Answer(b"")

    def _own_session(self, request: HttpRequest) -> MapiSession | None:
        """The caller's session that the cookie names, where there is one."""
        cookie = request.headers.cookies().get(CONTEXT_COOKIE)
        session = self.sessions.find(cookie) if cookie is not None else None
        return session if session is not None and session.owner == owner_of(request.caller) else None

    # The response

    async def _respond(self, request: HttpRequest, work: asyncio.Task[Answer | Refused], started: float) -> None:
        """At once where the answer comes soon, else PROCESSING and, until it is there, PENDING."""
        # A new session's cookies stand in the head: before they are known there is none.
        soon = self.limits.pending_seconds if request_type(request) == self._opening.lower() else _SOON
        if await done_within(work, soon):
            answer = _result(work)
            fields = [*self._fields(request, ResponseCode.Success), *cookie_fields(request, self._path, answer.session)]
            body = PROCESSING + pack_answer(answer.body, last_fields(ResponseCode.Success, started))
            request.start(200, fields)
            await request.write(body)
            await request.end()
            return
        session = self._own_session(request)
        request.start(200, [*self._fields(request, ResponseCode.Success), *cookie_fields(request, self._path, session)])
        await request.write(PROCESSING)
        while not await done_within(work, self._patience(work)):
            if self._patience(work):
                await request.write(PENDING)
            else:
                work.cancel()
                await asyncio.wait([work])
        try:
            last = pack_answer(_result(work).body, last_fields(ResponseCode.Success, started))
        except Refused as refusal:
            last = pack_answer(diagnosis(refusal), last_fields(refusal.code, started))
        await request.write(last)
        await request.end()

    def _patience(self, work: asyncio.Task[Answer | Refused]) -> float:
        """Seconds until the client is told that it should wait on, or 0 where it has waited long enough."""
        left = self._waiting.get(work, math.inf) - asyncio.get_running_loop().time()
        return max(0.0, min(self.limits.pending_seconds, left))

    def _fields(self, request: HttpRequest, code: ResponseCode, content_type: str = CONTENT_TYPE) -> list[Field]:
        limits = self.limits
        return response_fields(request, code, limits.pending_seconds, limits.sessions.idle_seconds, content_type)

    async def _refuse(self, request: HttpRequest, refusal: Refused) -> None:
        """The response code, and for people why: 3.2.5.1."""
        _log.info("%s: %s", request, refusal)
        fields = self._fields(request, refusal.code, "text/html; charset=utf-8")
        await request.respond(200, diagnosis(refusal), fields)


class _LoggedCall:
    """What is logged while a call is handled is about it."""

    __slots__ = ("_call", "_request")

    def __init__(self, request: HttpRequest, call: Call) -> None:
        self._request = request
        self._call = call

    def log_fields(self) -> LogFields:
        """See `rpc.log_context`."""
        call = self._call
        fields = self._request.log_fields() | {"session": call.session.number, "account": str(call.caller)}
        return fields | {"interface": call.interface.name, "call": call.name}


#: What faults are told as; UnknownFailure where it is none of these.
_CODES: Final[dict[int, ResponseCode]] = {
    FaultStatus.ACCESS_DENIED: ResponseCode.NoPrivilege,
    FaultStatus.CONTEXT_MISMATCH: ResponseCode.ContextNotFound,
    FaultStatus.BAD_STUB_DATA: ResponseCode.InvalidRequestBody,
    FaultStatus.UNKNOWN_INTERFACE: ResponseCode.EndpointDisabled,
}


def _result(work: asyncio.Task[Answer | Refused]) -> Answer:
    """What became of it; what was cancelled is the server's end. Raises `Refused`."""
    if work.cancelled():
        raise Refused(ResponseCode.EndpointShuttingDown, "the server stops")
    result = work.result()
    if isinstance(result, Refused):
        raise result
    return result
