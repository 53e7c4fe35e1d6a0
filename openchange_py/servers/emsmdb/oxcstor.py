"""[MS-OXCSTOR]: logging on to a mailbox, and what a client asks of the store.

Not done yet: public folders (their RopLogon answers LogonFailed), redirection to another server (WrongServer),
RopSetReceiveFolder, RopGetReceiveFolderTable, RopGetStoreState, RopGetOwningServers, RopPublicFolderIsGhosted,
per-user information, replica ids of other replicas than the mailbox's own.
"""

from __future__ import annotations

import datetime
import logging
from typing import Final

from openchange_py.addressbook.base import Entry, may_open_mailbox
from openchange_py.servers.emsmdb.codepages import is_known
from openchange_py.servers.emsmdb.objects.base import ServerObject
from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.servers.emsmdb.registry import RopCall, handles
from openchange_py.servers.emsmdb.session import EmsmdbSession
from openchange_py.store.base import Mailbox, NoSuchObject, SpecialFolder
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.ids import PRIVATE_REPLICA_ID, FolderId, LongTermId, make_id, split_id
from openchange_py.wire.rop.oxcstor import (
    SPECIAL_FOLDERS,
    LogonFlags,
    LogonTime,
    OpenFlags,
    ResponseFlags,
    RopGetReceiveFolderRequest,
    RopGetReceiveFolderResponse,
    RopIdFromLongTermIdRequest,
    RopIdFromLongTermIdResponse,
    RopLogonPrivateResponse,
    RopLogonRequest,
    RopLongTermIdFromIdRequest,
    RopLongTermIdFromIdResponse,
)

logger = logging.getLogger(__name__)

#: The longest MessageClass that RopGetReceiveFolder takes: [MS-OXCSTOR] 3.2.5.2.
_LONGEST_CLASS: Final = 255


@handles(RopLogonRequest)
def logon(call: RopCall, request: RopLogonRequest) -> RopLogonPrivateResponse:
    """RopLogon: [MS-OXCSTOR] 3.2.5.1. A logon that is active under the same LogonId ends. What is refused is logged."""
    try:
        return _logon(call, request)
    except MapiError as error:
        account = call.session.caller.account
        logger.warning("RopLogon of %s as %.200r refused: %s", account, request.essdn, error)
        raise


def _logon(call: RopCall, request: RopLogonRequest) -> RopLogonPrivateResponse:
    session = call.session
    if not request.logon_flags & LogonFlags.Private or request.open_flags & OpenFlags.Public:
        raise MapiError(ErrorCode.LogonFailed, "there are no public folders here")
    owner = _mailbox_owner(session, request.essdn)
    if not is_known(session.settings.code_page):
        raise MapiError(ErrorCode.UnknownCodePage, f"code page {session.settings.code_page}")
    mailbox = _open_mailbox(session, owner)
    special = mailbox.special_folders()
    opened = Logon(mailbox, request.logon_id, session.caller, owner, session.settings)
    call.open(request.output_handle_index, opened)
    session.objects.replace_logon(request.logon_id, opened)
    logger.info("%s logged on to the mailbox of %s", session.caller.account, owner.legacy_exchange_dn)
    return RopLogonPrivateResponse(
        request.output_handle_index,
        ErrorCode.Success,
        request.logon_flags & (LogonFlags.Private | LogonFlags.Undercover | LogonFlags.Ghosted),
        [special.get(SpecialFolder(place), FolderId(0)) for place in range(SPECIAL_FOLDERS)],
        _rights(session, owner),
        mailbox.guid,
        PRIVATE_REPLICA_ID,
        mailbox.replica_guid,
        _logon_time(datetime.datetime.now(datetime.UTC)),
        0,
        0,
    )


def _rights(session: EmsmdbSession, owner: Entry) -> int:
    """Who was given full access has an owner's permissions, but may not send as the owner."""
    owned = ResponseFlags.SendAsRight if session.caller.guid == owner.guid else 0
    return ResponseFlags.Reserved | ResponseFlags.OwnerRight | owned


def _mailbox_owner(session: EmsmdbSession, essdn: bytes) -> Entry:
    """Whose mailbox is meant; an empty Essdn means the user that connected."""
    name = essdn.rstrip(b"\0").decode("utf-8", "replace")
    owner = session.directory.by_legacy_dn(name) if name else session.directory.by_guid(session.user.guid)
    if owner is None or owner.mailbox_guid is None:
        raise MapiError(ErrorCode.UnknownUser, f"no mailbox of {name!r}")
    return owner


def _open_mailbox(session: EmsmdbSession, owner: Entry) -> Mailbox:
    """The mailbox, if the authenticated account may open it; what it may is read anew at every logon.

    [MS-OXCDATA] 2.4.1 has LoginPermission for who may not, as Exchange answers; [MS-OXCSTOR] 3.2.5.1.3 AccessDenied.
    """
    caller = session.directory.by_guid(session.caller.guid)
    account = session.directory.account(caller.account) if caller is not None and caller.account else None
    if caller is None or account is None or not account.enabled:
        raise MapiError(ErrorCode.LoginPermission, "the account is disabled, or deleted")
    if not may_open_mailbox(session.directory, caller, owner):
        raise MapiError(ErrorCode.LoginPermission, "neither owner nor granted full access")
    assert owner.mailbox_guid is not None
    try:
        return session.store.mailbox(owner.mailbox_guid)
    except NoSuchObject as error:
        raise MapiError(ErrorCode.UnknownUser, f"{owner.legacy_exchange_dn}: {error}") from error


def _logon_time(now: datetime.datetime) -> LogonTime:
    """[MS-OXCROPS] 2.2.3.1.2.1; Sunday is 0."""
    return LogonTime(now.second, now.minute, now.hour, now.isoweekday() % 7, now.day, now.month, now.year)


@handles(RopGetReceiveFolderRequest)
def get_receive_folder(call: RopCall, request: RopGetReceiveFolderRequest) -> RopGetReceiveFolderResponse:
    """RopGetReceiveFolder: [MS-OXCSTOR] 3.2.5.2."""
    mailbox = call.object(request, Logon).mailbox
    name = request.message_class
    printable = all(0x20 <= byte <= 0x7E for byte in name)
    if len(name) + 1 > _LONGEST_CLASS or not printable or b".." in name or name[:1] == b"." or name[-1:] == b".":
        raise MapiError(ErrorCode.InvalidParameter, f"message class {name[:40]!r}")
    folder_id, explicit = mailbox.receive_folder(name.decode("ascii"))
    return RopGetReceiveFolderResponse(
        request.input_handle_index, ErrorCode.Success, folder_id, explicit.encode("ascii", "replace")
    )


@handles(RopLongTermIdFromIdRequest)
def long_term_id_from_id(call: RopCall, request: RopLongTermIdFromIdRequest) -> RopLongTermIdFromIdResponse:
    """RopLongTermIdFromId: [MS-OXCSTOR] 3.2.5.8. The object need not exist."""
    mailbox = call.object(request, ServerObject).mailbox_logon.mailbox
    replica, counter = split_id(request.object_id)
    if replica != PRIVATE_REPLICA_ID:
        raise MapiError(ErrorCode.NotFound, f"no replica has id {replica}")
    return RopLongTermIdFromIdResponse(
        request.input_handle_index, ErrorCode.Success, LongTermId.of(mailbox.replica_guid, counter)
    )


@handles(RopIdFromLongTermIdRequest)
def id_from_long_term_id(call: RopCall, request: RopIdFromLongTermIdRequest) -> RopIdFromLongTermIdResponse:
    """RopIdFromLongTermId: [MS-OXCSTOR] 3.2.5.9. No GlobalCounter gives no id, and no error."""
    mailbox = call.object(request, ServerObject).mailbox_logon.mailbox
    wanted = request.long_term_id
    if not wanted.database_guid.int:
        raise MapiError(ErrorCode.InvalidParameter, "no replica GUID")
    if not wanted.counter:
        return RopIdFromLongTermIdResponse(request.input_handle_index, ErrorCode.Success, 0)
    if wanted.database_guid != mailbox.replica_guid:
        raise MapiError(ErrorCode.ParameterOverflow, f"no replica id is left for {wanted.database_guid}")
    return RopIdFromLongTermIdResponse(
        request.input_handle_index, ErrorCode.Success, make_id(PRIVATE_REPLICA_ID, wanted.counter)
    )
