"""The logon object: [MS-OXCSTOR] 1.3."""

from __future__ import annotations

from collections.abc import Sequence

from openchange_py.addressbook.base import Entry
from openchange_py.servers.emsmdb.entryids import store_folder_entry_ids
from openchange_py.servers.emsmdb.objects.base import PropertyObject
from openchange_py.store.base import Mailbox
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag

#: MAPI_STORE, [MS-OXCPRPT] 2.2.1.7.
_OBJECT_TYPE = 1


class Logon(PropertyObject):
    """One private mailbox, opened by a user who may."""

    __slots__ = ("logon_id", "mailbox", "owner", "user")

    def __init__(self, mailbox: Mailbox, logon_id: int, user: Entry, owner: Entry) -> None:
        super().__init__()
        self.logon = self
        self.mailbox = mailbox
        self.logon_id = logon_id
        self.user = user
        self.owner = owner

    def properties(self, tags: Sequence[PropertyTag] | None = None) -> PropertyMap:
        mailbox = self.mailbox
        return {
            **mailbox.properties(),
            **store_folder_entry_ids(mailbox),
            p.PidTagObjectType: _OBJECT_TYPE,
            p.PidTagMailboxOwnerName: self.owner.display_name,
            p.PidTagMailboxOwnerEntryId: self.owner_entry_id(self.owner),
            p.PidTagUserEntryId: self.owner_entry_id(self.user),
            p.PidTagMappingSignature: mailbox.replica_guid.bytes_le,
            p.PidTagStoreRecordKey: mailbox.guid.bytes_le,
        }

    @staticmethod
    def owner_entry_id(entry: Entry) -> bytes:
        """The address book's permanent entry id of a person."""
        from openchange_py.wire.oxcdata.entryids import PermanentEntryId

        return PermanentEntryId(int(entry.display_type), entry.legacy_exchange_dn.encode("ascii", "replace")).pack()
