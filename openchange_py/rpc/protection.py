"""Signing and sealing the PDUs of one security context: [MS-RPCE] 3.3.1.5.2.2 and 2.2.2.11."""

from __future__ import annotations

import dataclasses
from typing import Final

from openchange_py.rpc.security import ANONYMOUS, AuthLevel, Identity, SecurityContext, SecurityError
from openchange_py.wire.auth_trailer import AUTH_PAD_ALIGNMENT, SEC_TRAILER_SIZE, SecTrailer, sec_trailer
from openchange_py.wire.pdu import Fault, Request, Response

#: The levels that a bind may ask for. Who wants CALL asks for PACKET on a connection, [MS-RPCE] 2.2.1.1.8.
LEVELS: Final = {
    2: AuthLevel.CONNECT,
    4: AuthLevel.PACKET,
    5: AuthLevel.INTEGRITY,
    6: AuthLevel.PRIVACY,
}

CallPdu = Request | Response | Fault


class Protection:
    """A security context as a connection uses it: its level, its id, and what every PDU needs for it."""

    def __init__(
        self, context: SecurityContext, auth_type: int, auth_level: int, context_id: int, *, header_signing: bool
    ) -> None:
        self.context = context
        self.auth_type = auth_type
        #: As it stands on the wire; `level` is what it means.
        self.auth_level = auth_level
        self.level = LEVELS[auth_level]
        self.context_id = context_id
        #: What was negotiated; `covers_header` is what is done.
        self.header_signing = header_signing
        #: Authentication failed, which its last leg, auth3, could not be told.
        self.refused = False
        self._caller: Identity | None = None
        #: Every PDU has a signature.
        self.protects = self.level >= AuthLevel.PACKET
        self._seals = self.level >= AuthLevel.PRIVACY
        self._signature_size: int | None = None
        #: sec_trailers by their padding and byte order.
        self._tails: dict[tuple[int, bool], bytes] = {}

    @property
    def settled(self) -> bool:
        """No more legs of authentication are awaited."""
        return self.refused or self.context.complete

    @property
    def covers_header(self) -> bool:
        """Signatures are over header, body and sec_trailer; else over the body with its padding."""
        return self.header_signing or self.context.always_signs_headers

    @property
    def caller(self) -> Identity:
        """The authenticated peer with the level of its calls; anonymous before authentication completed."""
        if self._caller is None:
            if not self.context.complete:
                return ANONYMOUS
            self._caller = dataclasses.replace(self.context.identity or ANONYMOUS, level=self.level)
        return self._caller

    def check_level(self) -> None:
        """An exchange that is complete can seal where that is the level; raises `SecurityError`."""
        if self.context.complete and self.level == AuthLevel.PRIVACY:
            self.context.signature_size(self.level)

    def matches(self, trailer: SecTrailer) -> bool:
        """A sec_trailer of the peer belongs to this context."""
        return (
            trailer.auth_context_id == self.context_id
            and trailer.auth_level == self.auth_level
            and trailer.auth_type == self.auth_type
        )

    def trailer(self, token: bytes, pad_length: int = 0) -> SecTrailer:
        """A sec_trailer of this context."""
        return SecTrailer(self.auth_type, self.auth_level, self.context_id, token, pad_length)

    def room(self, max_fragment: int, header_size: int) -> int:
        """How many stub bytes a fragment of `max_fragment` bytes can carry, padding considered."""
        room = max_fragment - header_size - SEC_TRAILER_SIZE - self._size_of_signature()
        return room // AUTH_PAD_ALIGNMENT * AUTH_PAD_ALIGNMENT

    def _size_of_signature(self) -> int:
        """Bytes of a PDU's signature: asked of the context once, as every PDU needs to know."""
        if self._signature_size is None:
            self._signature_size = self.context.signature_size(self.level)
        return self._signature_size

    def protect(self, pdu: Request | Response, flags: int, stub: bytes, alloc_hint: int) -> bytes:
        """The bytes of a fragment of the PDU with this part of its stub, padded and signed or sealed."""
        size = self._size_of_signature()
        pad = -len(stub) % AUTH_PAD_ALIGNMENT
        body = stub + bytes(pad) if pad else stub
        tail = self._tails.get((pad, pdu.big_endian))
        if tail is None:
            tail = sec_trailer(self.auth_type, self.auth_level, pad, self.context_id, pdu.big_endian)
            self._tails[pad, pdu.big_endian] = tail
        head = pdu.fragment_head(flags, alloc_hint, len(body) + SEC_TRAILER_SIZE + size, size)
        if not self._seals:
            signature = self.context.sign(head + body + tail if self.covers_header else body)
        elif self.covers_header:
            body, signature = self.context.seal(head, body, tail)
        else:
            body, signature = self.context.seal(b"", body, b"")
        if len(signature) != size:
            raise SecurityError(f"signature of {len(signature)} bytes where {size} were announced")
        return b"".join((head, body, tail, signature))

    def unprotect(self, raw: bytes, pdu: CallPdu) -> bytes:
        """The PDU's stub, verified and unsealed, without its padding; raises `SecurityError`."""
        trailer = pdu.auth
        if trailer is None:
            if self.protects:
                raise SecurityError("PDU without the protection that was negotiated")
            return pdu.stub
        if not self.matches(trailer):
            raise SecurityError("PDU of another authentication type, level or context")
        return self.opened(raw, pdu)

    def opened(self, raw: bytes, pdu: CallPdu) -> bytes:
        """As `unprotect`, of a PDU that is known to belong to this context, whatever its sec_trailer says."""
        trailer = pdu.auth
        if trailer is None:
            return pdu.stub
        stub = self._verified(raw, pdu, trailer) if self.protects else pdu.stub
        if trailer.auth_pad_length > len(stub):
            raise SecurityError(f"{trailer.auth_pad_length} bytes of padding in a stub of {len(stub)}")
        return stub[: len(stub) - trailer.auth_pad_length]

    def _verified(self, raw: bytes, pdu: CallPdu, trailer: SecTrailer) -> bytes:
        signature = trailer.auth_value
        signed = len(raw) - len(signature)
        if not self._seals:
            self.context.verify(raw[:signed] if self.covers_header else pdu.stub, signature)
            return pdu.stub
        if not self.covers_header:
            return self.context.unseal(b"", pdu.stub, b"", signature)
        before, after = raw[: pdu.stub_offset], raw[signed - SEC_TRAILER_SIZE : signed]
        return self.context.unseal(before, pdu.stub, after, signature)
