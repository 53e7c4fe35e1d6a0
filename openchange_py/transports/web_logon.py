"""Requests are somebody's: a resource behind an authentication, bound to the connection where its scheme is."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from openchange_py.rpc.log_context import in_this_context
from openchange_py.rpc.metrics import Metrics
from openchange_py.rpc.security import Identity
from openchange_py.rpc.web_logon import Outcome, WebAuthenticator, WebLogon
from openchange_py.transports.http_message import HttpError
from openchange_py.transports.http_request import HttpRequest, HttpResource

_log: Final = logging.getLogger(__name__)


async def authenticate(request: HttpRequest, authenticator: WebAuthenticator, metrics: Metrics) -> Identity:
    """Who sent the request, which `request.caller` is from then on. `HttpError` (401) asks for credentials."""
    logon = _logon(request, authenticator)
    fields = request.headers.all("authorization")
    if len(fields) > 1:
        raise HttpError(400, "more than one Authorization field")
    authorization = fields[0].strip() if fields else ""
    outcome = logon.known(authorization, request.channel)
    if outcome is None:
        step = in_this_context(logon.step)
        outcome = await asyncio.get_running_loop().run_in_executor(None, step, authorization, request.channel)
    _count(outcome, metrics)
    named = [("WWW-Authenticate", field) for field in outcome.fields]
    if outcome.identity is None:
        raise HttpError(401, "who are you?", named)
    request.identified(outcome.identity)
    request.response_fields += named
    return outcome.identity


def _logon(request: HttpRequest, authenticator: WebAuthenticator) -> WebLogon:
    """The connection's own; it is closed with the connection."""
    state = request.connection_state
    logon: WebLogon | None = state.get(authenticator)
    if logon is None:
        logon = state[authenticator] = authenticator.logon()
    return logon


def _count(outcome: Outcome, metrics: Metrics) -> None:
    if outcome.scheme and (outcome.failed or outcome.identity is not None):
        metrics.authentications[f"http {outcome.scheme}", "failure" if outcome.failed else "success"] += 1


class Authenticated:
    """A resource whose requests are all somebody's."""

    def __init__(self, resource: HttpResource, authenticator: WebAuthenticator, metrics: Metrics) -> None:
        self._resource = resource
        self._authenticator = authenticator
        self._metrics = metrics

    async def handle(self, request: HttpRequest) -> None:
        """Authenticate, then let the resource answer."""
        await authenticate(request, self._authenticator, self._metrics)
        await self._resource.handle(request)

    def shut_down(self) -> None:
        """Tell the resource."""
        self._resource.shut_down()
