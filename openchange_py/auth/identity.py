"""What an authenticated account may do: use a user DN, open a mailbox.

Being authenticated is one thing, whose mailbox is opened another: EcDoConnectEx ([MS-OXCRPC] 3.1.4.1) and
RopLogon ([MS-OXCSTOR] 2.2.1.1.1) both name a DN that the client chose. Not done: folder permissions of other
users' mailboxes ([MS-OXCPERM]), delegates, groups among those who were given access.
"""

from __future__ import annotations

from openchange_py.addressbook.base import Directory, Entry, may_open_mailbox
from openchange_py.rpc.security import Identity


class NotAuthorized(Exception):
    """The account may not do this. The text says who and why, for the log: the client gets ecAccessDenied."""


def caller_entry(directory: Directory, identity: Identity) -> Entry | None:
    """The directory entry of the authenticated account; None for anonymous, and for one that may log in no more."""
    if identity.is_anonymous:
        return None
    account = directory.account(identity.account)
    return directory.by_account(identity.account) if account is not None and account.enabled else None


def may_use_dn(directory: Directory, identity: Identity, user_dn: str) -> Entry:
    """The entry that a client connects as with `user_dn` (EcDoConnect, EcDoConnectEx: szUserDN).

    It is the caller's own DN, or one whose mailbox the caller was given full access to, as a relay's service
    account is. Raises `NotAuthorized`, for an unknown DN too.
    """
    return _open(directory, identity, user_dn, "connect as")


def may_open(directory: Directory, identity: Identity, mailbox_dn: str) -> Entry:
    """The entry whose mailbox `mailbox_dn` is (RopLogon: Essdn), if the caller may open it.

    Raises `NotAuthorized`, for an unknown DN too, so that nobody finds out by asking which mailboxes exist.
    """
    return _open(directory, identity, mailbox_dn, "open the mailbox of")


def _open(directory: Directory, identity: Identity, dn: str, what: str) -> Entry:
    if identity.is_anonymous:
        raise NotAuthorized(f"anonymous may not {what} {dn!r}")
    caller = caller_entry(directory, identity)
    if caller is None:
        raise NotAuthorized(f"{identity} may not {what} {dn!r}: the account is not in the directory, or disabled")
    target = directory.by_legacy_dn(dn)
    if target is None:
        raise NotAuthorized(f"{identity} may not {what} {dn!r}: there is no such entry")
    if not may_open_mailbox(directory, caller, target):
        raise NotAuthorized(f"{identity} may not {what} {dn!r}: neither owner nor given full access")
    return target
