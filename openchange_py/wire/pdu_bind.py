"""The PDUs that negotiate interfaces and authentication: C706 12.6.4.1 to 12.6.4.5, [MS-RPCE] 2.2.2.

Not done yet: the extended error information behind a bind_nak stays bytes.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, Final

from openchange_py.wire.buffer import Reader, Writer
from openchange_py.wire.ndr import SyntaxId
from openchange_py.wire.pdu_header import BodylessPdu, Pdu, PduType, byte_orders, pdu
from openchange_py.wire.syntax import read_syntax_id, write_syntax_id

_BIND: Final = byte_orders("HHIB3x")
_BIND_ACK: Final = byte_orders("HHIH")
_CONTEXT: Final = byte_orders("HBx")
_RESULT: Final = byte_orders("HH")
_NUMBER: Final = byte_orders("H")


class BindNakReason(enum.IntEnum):
    """p_reject_reason_t, C706 12.6.3.1 and [MS-RPCE] 2.2.2.5."""

    NOT_SPECIFIED = 0
    TEMPORARY_CONGESTION = 1
    LOCAL_LIMIT_EXCEEDED = 2
    PROTOCOL_VERSION_NOT_SUPPORTED = 4
    AUTHENTICATION_TYPE_NOT_RECOGNIZED = 8
    INVALID_CHECKSUM = 9


class ContextResult(enum.IntEnum):
    """p_cont_def_result_t, C706 12.6.3.1 and [MS-RPCE] 2.2.2.4."""

    ACCEPTANCE = 0
    USER_REJECTION = 1
    PROVIDER_REJECTION = 2
    NEGOTIATE_ACK = 3


class ProviderReason(enum.IntEnum):
    """p_provider_reason_t, C706 12.6.3.1."""

    NOT_SPECIFIED = 0
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 1
    PROPOSED_TRANSFER_SYNTAXES_NOT_SUPPORTED = 2
    LOCAL_LIMIT_EXCEEDED = 3


@dataclasses.dataclass(frozen=True, slots=True)
class PresentationContextElement:
    """p_cont_elem_t: an interface and the transfer syntaxes proposed for it."""

    context_id: int
    abstract_syntax: SyntaxId
    transfer_syntaxes: tuple[SyntaxId, ...]


@pdu
class Bind(Pdu):
    """C706 12.6.4.3. `padding` is what stands between the contexts and the sec_trailer."""

    ptype = PduType.BIND

    contexts: tuple[PresentationContextElement, ...]
    max_xmit_frag: int = 5840
    max_recv_frag: int = 5840
    assoc_group_id: int = 0
    padding: bytes = b""

    @classmethod
    def read(cls, reader: Reader, big: bool) -> dict[str, Any]:
        max_xmit, max_recv, group, count = reader.fields(_BIND[big])
        contexts = tuple(_read_context(reader, big) for _ in range(reader.count(count, 24)))
        return {
            "contexts": contexts,
            "max_xmit_frag": max_xmit,
            "max_recv_frag": max_recv,
            "assoc_group_id": group,
            "padding": reader.rest(),
        }

    def write(self, writer: Writer) -> None:
        big = self.big_endian
        writer.fixed(_BIND[big], self.max_xmit_frag, self.max_recv_frag, self.assoc_group_id, len(self.contexts))
        for context in self.contexts:
            writer.fixed(_CONTEXT[big], context.context_id, len(context.transfer_syntaxes))
            for syntax in (context.abstract_syntax, *context.transfer_syntaxes):
                writer += write_syntax_id(syntax, big)
        writer += self.padding


def _read_context(reader: Reader, big: bool) -> PresentationContextElement:
    context_id, count = reader.fields(_CONTEXT[big])
    abstract = read_syntax_id(reader.take(20), 0, big)
    transfer = tuple(read_syntax_id(reader.take(20), 0, big) for _ in range(reader.count(count, 20)))
    return PresentationContextElement(context_id, abstract, transfer)


@pdu
class AlterContext(Bind):
    """C706 12.6.4.1: the layout of a bind."""

    ptype = PduType.ALTER_CONTEXT


@dataclasses.dataclass(frozen=True, slots=True)
class PresentationResult:
    """p_result_t. `reason` is a ProviderReason, or the accepted features where `result` is NEGOTIATE_ACK."""

    result: int
    reason: int
    transfer_syntax: SyntaxId


@pdu
class BindAck(Pdu):
    """C706 12.6.4.4. `secondary_address` is the endpoint, with its terminating zero where there is one."""

    ptype = PduType.BIND_ACK

    results: tuple[PresentationResult, ...]
    max_xmit_frag: int = 5840
    max_recv_frag: int = 5840
    assoc_group_id: int = 0
    secondary_address: bytes = b""
    padding: bytes = b""

    @classmethod
    def read(cls, reader: Reader, big: bool) -> dict[str, Any]:
        max_xmit, max_recv, group, length = reader.fields(_BIND_ACK[big])
        address = reader.take(length)
        reader.skip(-reader.pos % 4)
        count = reader.u8()
        reader.skip(3)
        results = tuple(_read_result(reader, big) for _ in range(reader.count(count, 24)))
        return {
            "results": results,
            "max_xmit_frag": max_xmit,
            "max_recv_frag": max_recv,
            "assoc_group_id": group,
            "secondary_address": address,
            "padding": reader.rest(),
        }

    def write(self, writer: Writer) -> None:
        big, length = self.big_endian, len(self.secondary_address)
        writer.fixed(_BIND_ACK[big], self.max_xmit_frag, self.max_recv_frag, self.assoc_group_id, length)
        writer += self.secondary_address
        writer += bytes(-len(writer) % 4)
        writer.u8(len(self.results))
        writer += bytes(3)
        for result in self.results:
            writer.fixed(_RESULT[big], result.result, result.reason)
            writer += write_syntax_id(result.transfer_syntax, big)
        writer += self.padding


def _read_result(reader: Reader, big: bool) -> PresentationResult:
    result, reason = reader.fields(_RESULT[big])
    return PresentationResult(result, reason, read_syntax_id(reader.take(20), 0, big))


@pdu
class AlterContextResp(BindAck):
    """C706 12.6.4.2: the layout of a bind_ack, its secondary address empty."""

    ptype = PduType.ALTER_CONTEXT_RESP


@pdu
class BindNak(Pdu):
    """C706 12.6.4.5, [MS-RPCE] 2.2.2.9. `rest` is padding and extended error information."""

    ptype = PduType.BIND_NAK

    reason: int
    versions: tuple[tuple[int, int], ...] = ((5, 0),)
    rest: bytes = b""

    @classmethod
    def read(cls, reader: Reader, big: bool) -> dict[str, Any]:
        reason = reader.fixed(_NUMBER[big])
        versions = tuple((reader.u8(), reader.u8()) for _ in range(reader.count(reader.u8(), 2)))
        return {"reason": reason, "versions": versions, "rest": reader.rest()}

    def write(self, writer: Writer) -> None:
        writer.fixed(_NUMBER[self.big_endian], self.reason)
        writer.u8(len(self.versions))
        for major, minor in self.versions:
            writer.u8(major)
            writer.u8(minor)
        writer += self.rest


@pdu
class Auth3(BodylessPdu):
    """[MS-RPCE] 2.2.2.5: the third leg of authentication, behind 4 bytes that are ignored."""

    ptype = PduType.AUTH3
