"""RPC over HTTP as a node serves it: which interfaces behind which port, as Exchange has them.

The ports are names in URLs and nothing more: nobody listens there, so the endpoint mapper, which other machines' RPC
proxies would ask, does not tell of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from openchange_py.auth.accounts import LocalAuthenticator
from openchange_py.config import declared
from openchange_py.proxy.dispatcher import Dispatcher
from openchange_py.rpc.association import AssociationGroups
from openchange_py.rpc.metrics import Metrics
from openchange_py.rpc.web_logon import WebAuthenticator
from openchange_py.transports.colleagues import Colleagues
from openchange_py.transports.http_request import HttpResource
from openchange_py.transports.rpch import PATHS, RpchServer, RpcProxy, SomeInterfaces
from openchange_py.transports.tcp import TcpLimits
from openchange_py.transports.web_logon import Authenticated

#: The mailbox server, the referral service, the address book. Exchange 2013 has all behind the first.
PORTS: Final = {
    6001: (declared.EMSMDB, declared.ASYNC_EMSMDB, declared.RFR, declared.NSPI),
    6002: (declared.RFR,),
    6004: (declared.NSPI, declared.RFR),
}


class RpcOverHttp:
    """The servers behind the proxy, and the proxy. The servers do not listen; who stops a node stops them too."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        authenticator: LocalAuthenticator,
        logons: WebAuthenticator,
        metrics: Metrics,
        limits: TcpLimits,
        groups: AssociationGroups,
        principal_names: Mapping[int, str],
        colleagues: Colleagues | None = None,
    ) -> None:
        self.groups = groups
        self.servers = {
            port: RpchServer(
                SomeInterfaces(dispatcher, names),
                authenticator,
                limits=limits,
                groups=groups,
                minimum_level=dispatcher.minimum_level,
                waits=dispatcher.waits,
                metrics=metrics,
                principal_names=principal_names,
                colleagues=colleagues,
            )
            for port, names in PORTS.items()
        }
        resource = Authenticated(RpcProxy(self.servers, colleagues=colleagues), logons, metrics)
        self.resources: dict[str, HttpResource] = dict.fromkeys(PATHS, resource)
