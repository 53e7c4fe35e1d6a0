"""What is spoken over HTTP, path by path, each behind the same authentication."""

from __future__ import annotations

from openchange_py.config import Settings, declared
from openchange_py.proxy.dispatcher import Dispatcher
from openchange_py.rpc.metrics import Metrics
from openchange_py.rpc.web_logon import WebAuthenticator
from openchange_py.transports.colleagues import Colleagues
from openchange_py.transports.http_request import HttpResource
from openchange_py.transports.oxcmapihttp import (
    ADDRESS_BOOK_PATH,
    MAILBOX_PATH,
    AddressBookEndpoint,
    EndpointLimits,
    MailboxEndpoint,
    MapiEndpoint,
)
from openchange_py.transports.oxcmapihttp_sessions import SessionLimits
from openchange_py.transports.web_logon import Authenticated


class Endpoints:
    """The resources of a node's HTTP servers."""

    def __init__(
        self,
        settings: Settings,
        dispatcher: Dispatcher,
        authenticator: WebAuthenticator,
        metrics: Metrics,
        colleagues: Colleagues | None = None,
    ) -> None:
        served = {interface.name for interface in dispatcher.interfaces()}
        options = {"limits": endpoint_limits(settings), "metrics": metrics, "colleagues": colleagues}
        self._mapi: dict[str, MapiEndpoint] = {}
        if declared.EMSMDB in served:
            self._mapi[MAILBOX_PATH] = MailboxEndpoint(dispatcher, **options)
        if declared.NSPI in served:
            self._mapi[ADDRESS_BOOK_PATH] = AddressBookEndpoint(dispatcher, fqdn=settings[declared.FQDN], **options)
        #: By path.
        self.resources: dict[str, HttpResource] = {
            path: Authenticated(endpoint, authenticator, metrics) for path, endpoint in self._mapi.items()
        }

    @property
    def session_count(self) -> int:
        """Sessions of MAPI over HTTP; any thread may ask."""
        return sum(len(endpoint.sessions) for endpoint in self._mapi.values())

    async def stop(self) -> None:
        """End what clients left open, once no request is being answered any more."""
        for endpoint in self._mapi.values():
            await endpoint.stop()


def endpoint_limits(settings: Settings) -> EndpointLimits:
    """What MAPI over HTTP grants, as configured."""
    sessions = SessionLimits(
        sessions=settings[declared.MAX_HTTP_SESSIONS],
        per_account=settings[declared.MAX_HTTP_SESSIONS_PER_ACCOUNT],
        idle_seconds=settings[declared.HTTP_SESSION_LIFE],
        handles=settings[declared.MAX_CONTEXT_HANDLES],
    )
    return EndpointLimits(sessions, settings[declared.PENDING_PERIOD], body_size=settings[declared.MAX_CALL_SIZE])
