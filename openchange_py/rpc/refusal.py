"""Why a PDU of a client is refused, and with what it is answered: as Windows and Samba do it, fault by fault."""

from __future__ import annotations

from openchange_py.rpc.call import FaultStatus


class Refusal(Exception):
    """A PDU that is answered with a fault of this status, after which the connection ends unless `ends` is false.

    `call_id` is None for the PDU's own. The flag PFC_DID_NOT_EXECUTE and the id of the presentation context are
    told as Windows tells them: neither of them follows from what really happened.
    """

    def __init__(
        self,
        reason: str,
        status: int = FaultStatus.PROTOCOL_ERROR,
        *,
        context_id: int = 0,
        call_id: int | None = None,
        did_not_execute: bool = False,
        ends: bool = True,
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.context_id = context_id
        self.call_id = call_id
        self.did_not_execute = did_not_execute
        self.ends = ends


def unbound(reason: str, status: int = FaultStatus.PROTOCOL_ERROR) -> Refusal:
    """The refusal of what is no call: alter_context, auth3, and calls that come too early."""
    return Refusal(reason, status, did_not_execute=True)
