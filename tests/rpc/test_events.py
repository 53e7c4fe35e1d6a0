"""Events come in the order of the wire, and can be told apart by their fields."""

from __future__ import annotations

from openchange_py.rpc.events import CallCancelled, CallOrphaned, Event, Opened, RequestReceived
from openchange_py.rpc.security import ANONYMOUS
from openchange_py.wire.ndr import NDR20
from openchange_py.wire.pdu import Bind, CoCancel, Orphaned, PresentationContextElement, Request
from tests.rpc.echo import ECHO
from tests.rpc.parties import server


def test_one_stretch_of_bytes_gives_its_events_in_order() -> None:
    sent = [
        Bind(call_id=1, contexts=(PresentationContextElement(0, ECHO.syntax, (NDR20,)),)),
        Request(call_id=2, context_id=0, opnum=3, stub=b"first"),
        CoCancel(call_id=2),
        Request(call_id=3, context_id=0, opnum=4, stub=b"second"),
        Orphaned(call_id=3),
    ]
    opened, first, cancelled, second, orphaned = server().receive_data(b"".join(pdu.pack() for pdu in sent))
    assert opened == Opened(ANONYMOUS)
    assert (cancelled, orphaned) == (CallCancelled(2), CallOrphaned(3))
    for event, call_id, opnum, stub in ((first, 2, 3, b"first"), (second, 3, 4, b"second")):
        assert isinstance(event, RequestReceived)
        assert isinstance(event, Event)
        assert (event.call_id, event.opnum, event.stub, event.caller) == (call_id, opnum, stub, ANONYMOUS)
        assert event.context.interface is ECHO
