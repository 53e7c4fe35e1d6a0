"""Which function answers which NSPI call: they register themselves, each beside its rules."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from openchange_py.servers.nspi.properties import AddressBook
from openchange_py.wire.ndr import RpcMessage

#: A call's answer. Raises `MapiError`, which becomes the answer that `failed` makes of its code.
Method = Callable[[AddressBook, Any], RpcMessage]
Failed = Callable[[Any, int], RpcMessage]


@dataclasses.dataclass(frozen=True, slots=True)
class Registered:
    """One call: what answers it, and what its answer to an error looks like."""

    method: Method
    failed: Failed


METHODS: dict[type[RpcMessage], Registered] = {}


def method(request: type[RpcMessage], failed: Failed) -> Callable[[Method], Method]:
    """Register the function that answers calls with this request."""

    def register(function: Method) -> Method:
        METHODS[request] = Registered(function, failed)
        return function

    return register
