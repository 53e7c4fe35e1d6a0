"""The folder object: [MS-OXCFOLD] 1.3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from openchange_py.servers.emsmdb.entryids import folder_identity
from openchange_py.servers.emsmdb.objects.base import PropertyObject
from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.store.base import Folder, Mailbox
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.ids import FolderId
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag, PropertyType

#: PR_FOLDER_CHILD_COUNT, which [MS-OXPROPS] does not name: libmapi has it among the columns of folder lists.
FOLDER_CHILD_COUNT: Final = PropertyTag(0x66380003)

#: MAPI_FOLDER, [MS-OXCPRPT] 2.2.1.7.
_OBJECT_TYPE = 3

#: What an owner may do: PidTagRights ([MS-OXCPERM] 2.2.7) and PidTagAccess ([MS-OXCPRPT] 2.2.1.1).
_OWNER_RIGHTS = 0x000007FB
_FULL_ACCESS = 0x0000003F


class FolderObject(PropertyObject):
    """An open folder of a mailbox."""

    __slots__ = ("folder_id",)
    stream_types = frozenset({PropertyType.Binary})

    def __init__(self, logon: Logon, folder_id: FolderId) -> None:
        super().__init__(logon)
        self.folder_id = folder_id

    def properties(self, tags: Sequence[PropertyTag] | None = None) -> PropertyMap:
        mailbox = self.mailbox_logon.mailbox
        return folder_properties(mailbox, mailbox.folder(self.folder_id), tags)


def folder_properties(mailbox: Mailbox, folder: Folder, tags: Sequence[PropertyTag] | None = None) -> PropertyMap:
    """A folder's stored and computed properties, for the object and for a hierarchy table's rows.

    How many subfolders it has is only counted where it is asked for by its tag.
    """
    properties: PropertyMap = {
        p.PidTagComment: "",
        **folder.properties,
        **folder_identity(mailbox, folder),
        p.PidTagObjectType: _OBJECT_TYPE,
        p.PidTagRights: _OWNER_RIGHTS,
        p.PidTagAccess: _FULL_ACCESS,
        p.PidTagAccessLevel: 1,
        p.PidTagMappingSignature: mailbox.replica_guid.bytes_le,
        p.PidTagStoreRecordKey: mailbox.guid.bytes_le,
    }
    if tags is not None and FOLDER_CHILD_COUNT in tags:
        has_any = folder.properties.get(p.PidTagSubfolders)
        properties[FOLDER_CHILD_COUNT] = len(mailbox.subfolders(folder.id)) if has_any else 0
    return properties
