"""Records conversations: every call that passes, to a file that `replay` and `ocpy replay` play back.

By default names are replaced by others and contents by filler of the same length (`proxy.anonymize`), so that a
recording may be given away: buffers still decode, sizes are right, and a client that does the same again gets the
same. A call that does not decode cannot be cleaned: its stubs are left out, and of a ROP buffer what follows the
first unknown ROP is zeros. What clients tell about themselves (auxiliary buffers) is removed. `mpm_record:anonymize =
none` records what passes as it is, to be kept like the mail itself. Passwords and tickets never pass here. The file
has the format of `proxy.recording`.

Calls are cleaned while they pass, and written by a thread: a call never waits for the file, nor fails with it.

Not done yet: what RopBufferTooSmall gives back to clients is filler, so that a call in which it stands cannot be
replayed.
"""

from __future__ import annotations

import dataclasses
import enum
import logging
import time
from pathlib import Path

from openchange_py.config import declared
from openchange_py.config.options import Option, choice, names, path, size
from openchange_py.config.settings import Settings
from openchange_py.proxy.anonymize import Anonymize, Anonymizer
from openchange_py.proxy.dissection import RopReader, off_the_loop
from openchange_py.proxy.hooks import ANY, Module
from openchange_py.proxy.line_file import LineFile
from openchange_py.proxy.recording import RecordedCall, end_line, header_line, left_out_line
from openchange_py.proxy.rop_carrier import RopCarrier, carrier_of
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.rop.buffer import RopBuffer

logger = logging.getLogger(__name__)


class WhenFull(enum.Enum):
    """`mpm_record:when full`."""

    STOP = "stop"
    ROTATE = "rotate"

    def __str__(self) -> str:
        return self.value


def recording_file(value: str) -> Path | None:
    """An absolute path; with .gz at its end the file is compressed."""
    return path(value) if value else None


FILE = Option("mpm_record:file", recording_file, None, "where to; it goes on where it ended")
ANONYMIZE = Option(
    "mpm_record:anonymize", choice(Anonymize, {a.value: a for a in Anonymize}), Anonymize.CONTENT, "what is replaced"
)
USERS = Option("mpm_record:users", names, (), "accounts whose calls are recorded; nothing for all")
MAX_SIZE = Option("mpm_record:max size", size, 100 << 20, "how large the file may be; 0: as large as the disk")
WHEN_FULL = Option(
    "mpm_record:when full",
    choice(WhenFull, {w.value: w for w in WhenFull}),
    WhenFull.STOP,
    "stop, or go on in a new file",
)


class RecordModule(Module):
    """Records calls as they are at its place in the stack, on their way in, with what came back there."""

    name = "record"
    description = "records conversations without secrets, to replay them"
    endpoint = ANY
    options = (FILE, ANONYMIZE, USERS, MAX_SIZE, WHEN_FULL)

    def init(self, settings: Settings) -> None:
        """Opens the file."""
        where = settings[FILE]
        if where is None:
            raise settings.error(FILE, "is needed: where to record to")
        what = settings[ANONYMIZE]
        own = (settings[declared.NETBIOS_NAME], settings[declared.FQDN], "exchange")
        self._anonymizer = None if what is Anonymize.NONE else Anonymizer(what, own)
        self._users = frozenset(user.casefold() for user in settings[USERS])
        self._reader, self._begin = RopReader(), time.monotonic()
        self._recorded: set[int] = set()
        goes_on = where.exists() and where.stat().st_size > 0
        self._file = LineFile(
            where,
            limit=settings[MAX_SIZE],
            rotate=settings[WHEN_FULL] is WhenFull.ROTATE,
            header=lambda: header_line(what),
            lost=left_out_line,
        )
        if goes_on:
            self._file.write(header_line(what))  # sessions are numbered anew

    def close(self) -> None:
        """Writes what waits."""
        self._file.close()
        if self._file.dropped:
            logger.warning("%s: %d lines are not in it", self._file.path, self._file.dropped)

    def ndr_pull(self, call: Call) -> None:
        """The request as it came: modules inside may make another one of it."""
        if not self._users or call.caller.account.casefold() in self._users:
            call.notes[self] = (call.stub, time.monotonic())

    async def ndr_push(self, call: Call) -> None:
        """The response as it goes."""
        await self._record(call, None)

    async def fault(self, call: Call, fault: RpcFault) -> None:
        """The fault in its place."""
        await self._record(call, fault.status)

    def unbind(self, session: Session) -> None:
        """The client left."""
        if session.number in self._recorded:
            self._recorded.discard(session.number)
            self._file.write(end_line(session.number))

    async def _record(self, call: Call, fault: int | None) -> None:
        noted = call.notes.get(self)
        if noted is None or self._file.full:
            return
        stub, came = noted
        copy = Call(call.interface, call.opnum, stub, call.session, call.caller, call.call_id)
        if fault is None:
            copy.answer(call.reply_bytes())
        recorded = RecordedCall.of(copy, came - self._begin, time.monotonic() - came, fault)
        if self._anonymizer is not None:
            recorded = await self._cleaned(self._anonymizer, copy, recorded)
        self._recorded.add(call.session.number)
        self._file.write(recorded.line())

    async def _cleaned(self, anonymizer: Anonymizer, call: Call, recorded: RecordedCall) -> RecordedCall:
        """The call without secrets; what can't be read of it is left out."""
        account = anonymizer.name(recorded.account)
        try:
            await self._clean(anonymizer, call)
        except (DecodeError, EncodeError, RpcFault) as error:
            reason = "no codec" if isinstance(error, RpcFault) else f"not decoded: {type(error).__name__}"
            return dataclasses.replace(recorded, account=account, request=None, reply=None, reason=reason)
        except Exception:
            logger.exception("%s: %s is not recorded", call.session, call.name)
            return dataclasses.replace(recorded, account=account, request=None, reply=None, reason="failed")
        reply = None if recorded.reply is None else call.reply_bytes()
        return dataclasses.replace(recorded, account=account, request=call.stub, reply=reply)

    async def _clean(self, anonymizer: Anonymizer, call: Call) -> None:
        requests, responses = await self._reader.requests(call), []
        if call.reply is not None:
            responses = self._reader.responses(call)
        carrier = carrier_of(call)
        if carrier is not None and requests:
            await off_the_loop((*requests, *responses), lambda: _clean_rops(anonymizer, carrier, requests, responses))
        anonymizer.message(call.request)
        call.edited_request()
        if call.reply is not None:
            if call.response is None:
                raise RpcFault(FaultStatus.OP_RANGE_ERROR, "no codec of the response")
            anonymizer.message(call.response)
            call.edited_response()


def _clean_rops(
    anonymizer: Anonymizer, carrier: RopCarrier, requests: list[RopBuffer], responses: list[RopBuffer]
) -> None:
    for buffer in (*requests, *responses):
        buffer.rops = [anonymizer.message(rop) for rop in buffer.rops]
        buffer.tail = buffer.tail[:1] + bytes(max(0, len(buffer.tail) - 1))
    carrier.set_requests([buffer.pack() for buffer in requests])
    if responses:
        carrier.set_responses([buffer.pack() for buffer in responses])
