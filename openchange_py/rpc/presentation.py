"""The presentation contexts of a client's connection: C706 12.6.3.1, [MS-RPCE] 3.3.1.5.3 and 3.3.1.5.6."""

from __future__ import annotations

from typing import Final

from openchange_py.rpc.events import PresentationContext
from openchange_py.rpc.interface import TRANSFER_SYNTAXES, OfferedInterfaces, rejected
from openchange_py.rpc.refusal import Refusal, unbound
from openchange_py.wire.ndr import NDR20, RpcInterface
from openchange_py.wire.pdu import PresentationContextElement, PresentationResult, ProviderReason
from openchange_py.wire.syntax import bind_time_features

#: More presentation contexts than this on one connection are nobody's need.
MAX_CONTEXTS: Final = 100


class PresentationContexts(dict[int, PresentationContext]):
    """The accepted contexts by the id that calls name them by."""

    def __init__(self, interfaces: OfferedInterfaces, limit: int = MAX_CONTEXTS) -> None:
        super().__init__()
        self._interfaces = interfaces
        self._limit = limit
        #: The bind-time features that both sides have; None where the client offered none.
        self.features: int | None = None

    def bind(self, elements: tuple[PresentationContextElement, ...]) -> tuple[PresentationResult, ...]:
        """Answer what a bind proposes, bind-time features included; `Refusal` where any of it is illegal."""
        if sum(_offers_features(element) for element in elements) > 1:
            raise unbound("bind-time features are offered twice")
        return self._answer(elements)

    def alter(self, elements: tuple[PresentationContextElement, ...]) -> tuple[PresentationResult, ...]:
        """Answer what an alter_context proposes; what was accepted before stays."""
        return self._answer(elements)

    def _answer(self, elements: tuple[PresentationContextElement, ...]) -> tuple[PresentationResult, ...]:
        if not elements or not all(element.transfer_syntaxes for element in elements):
            raise unbound("no presentation context, or one without a transfer syntax")
        accepted: dict[int, PresentationContext] = {}
        served: set[RpcInterface] = set()
        preferred = {self._interfaces.find(e.abstract_syntax) for e in elements if NDR20 in e.transfer_syntaxes}
        results = []
        for element in elements:
            if _offers_features(element):
                result, self.features = self._interfaces.features(element)
                results.append(result)
                continue
            known = accepted.get(element.context_id) or self.get(element.context_id)
            if known is not None:
                _check_unchanged(element, known)
            result, interface = self._interfaces.negotiate(element)
            if interface is None:
                pass
            elif interface in served or (result.transfer_syntax != NDR20 and interface in preferred):
                # Each interface once per PDU, and in the preferred transfer syntax of all its contexts.
                result = rejected(ProviderReason.PROPOSED_TRANSFER_SYNTAXES_NOT_SUPPORTED)
            else:
                served.add(interface)
                accepted[element.context_id] = PresentationContext(
                    element.context_id, interface, result.transfer_syntax
                )
            results.append(result)
        if len({*self, *accepted}) > self._limit:
            raise unbound(f"more than {self._limit} presentation contexts")
        self.update(accepted)
        return tuple(results)


def _offers_features(element: PresentationContextElement) -> bool:
    """Only the first transfer syntax counts: whatever follows features is ignored."""
    return bind_time_features(element.transfer_syntaxes[0]) is not None if element.transfer_syntaxes else False


def _check_unchanged(element: PresentationContextElement, known: PresentationContext) -> None:
    """An id that is taken may be proposed again, for the same interface and transfer syntax."""
    offered = known.interface.syntax
    wanted = element.abstract_syntax
    if (offered.uuid, offered.major) != (wanted.uuid, wanted.major):
        raise _taken(element, known.interface.name)
    if any(s in TRANSFER_SYNTAXES and s != known.transfer_syntax for s in element.transfer_syntaxes):
        raise _taken(element, f"{known.interface.name} in another transfer syntax")


def _taken(element: PresentationContextElement, by: str) -> Refusal:
    return unbound(f"presentation context {element.context_id} is taken by {by}")
