"""The logon object: [MS-OXCSTOR] 1.3."""

from __future__ import annotations

from collections.abc import Sequence

from openchange_py.addressbook.base import Entry
from openchange_py.servers.emsmdb.entryids import store_folder_entry_ids
from openchange_py.servers.emsmdb.objects.base import PropertyObject
from openchange_py.servers.emsmdb.session import ClientSettings
from openchange_py.store.base import Mailbox
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.entryids import PermanentEntryId
from openchange_py.wire.oxcdata.ids import PRIVATE_REPLICA_ID
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag

#: MAPI_STORE, [MS-OXCPRPT] 2.2.1.7.
_OBJECT_TYPE = 1


class Logon(PropertyObject):
    """One private mailbox, opened by a user who may."""

    __slots__ = ("logon_id", "mailbox", "owner", "settings", "user")

    def __init__(
        self, mailbox: Mailbox, logon_id: int, user: Entry, owner: Entry, settings: ClientSettings | None = None
    ) -> None:
        super().__init__()
        self.logon = self
        self.mailbox = mailbox
        self.logon_id = logon_id
        self.user = user
        self.owner = owner
        self.settings = settings or ClientSettings()

    def properties(self, tags: Sequence[PropertyTag] | None = None) -> PropertyMap:
        """[MS-OXCSTOR] 2.2.2.1."""
        mailbox = self.mailbox
        return {
            p.PidTagComment: "",
            p.PidTagOutOfOfficeState: False,
            **mailbox.properties(),
            **store_folder_entry_ids(mailbox),
            p.PidTagObjectType: _OBJECT_TYPE,
            p.PidTagMailboxOwnerName: self.owner.display_name,
            p.PidTagMailboxOwnerEntryId: owner_entry_id(self.owner),
            p.PidTagUserEntryId: owner_entry_id(self.user),
            p.PidTagMappingSignature: mailbox.replica_guid.bytes_le,
            p.PidTagStoreRecordKey: mailbox.guid.bytes_le,
            p.PidTagStoreState: 0,
            p.PidTagSerializedReplidGuidMap: PRIVATE_REPLICA_ID.to_bytes(2, "little") + mailbox.replica_guid.bytes_le,
            p.PidTagCodePageId: self.settings.code_page,
            p.PidTagLocaleId: self.settings.locale,
            p.PidTagSortLocaleId: self.settings.sort_locale,
        }


def owner_entry_id(entry: Entry) -> bytes:
    """The address book's permanent entry id of a person."""
    return PermanentEntryId(int(entry.display_type), entry.legacy_exchange_dn.encode("ascii", "replace")).pack()
