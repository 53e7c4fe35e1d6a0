"""What a client's verification trailer proves: [MS-RPCE] 2.2.2.13 and 3.3.3.5."""

from __future__ import annotations

from openchange_py.rpc.events import PresentationContext
from openchange_py.wire.auth_trailer import CLIENT_SUPPORT_HEADER_SIGNING, VerificationTrailer
from openchange_py.wire.ndr import SyntaxId
from openchange_py.wire.pdu import BIG_ENDIAN, LITTLE_ENDIAN, PduType, Request

#: Of little- and of big-endian requests, as a number.
_DREP = (int.from_bytes(LITTLE_ENDIAN, "little"), int.from_bytes(BIG_ENDIAN, "little"))


def contradiction(
    trailer: VerificationTrailer, context: PresentationContext, call: Request, *, header_signing: bool
) -> str:
    """What the trailer says otherwise than the unprotected headers did; "" where it agrees with all of them.

    `header_signing`: the client's bind arrived here with its offer of header signing.
    """
    if trailer.unknown_must_process:
        return "a command that is not understood"
    if (trailer.bitmask or 0) & CLIENT_SUPPORT_HEADER_SIGNING and not header_signing:
        return "the client's offer of header signing was removed from its bind"
    bound = trailer.presentation_context
    if bound is not None and not (_serves(context, bound[0]) and bound[1] == context.transfer_syntax):
        return f"the call was meant for {bound[0]}"
    header = trailer.header
    if header is not None and (
        (header.ptype, header.drep, header.call_id, header.context_id, header.opnum)
        != (PduType.REQUEST, _DREP[call.big_endian], call.call_id, call.context_id, call.opnum)
    ):
        return "the request's header was changed"
    return ""


def _serves(context: PresentationContext, syntax: SyntaxId) -> bool:
    """The client may have bound to an older minor version of the interface."""
    offered = context.interface.syntax
    return (offered.uuid, offered.major) == (syntax.uuid, syntax.major) and offered.minor >= syntax.minor
