"""What all server objects have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from openchange_py.servers.emsmdb.codepages import codec_of
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag, PropertyType

if TYPE_CHECKING:
    from openchange_py.servers.emsmdb.objects.logon import Logon


class ServerObject:
    """One open object of a session, opened under a logon."""

    __slots__ = ("logon",)

    def __init__(self, logon: Logon | None = None) -> None:
        self.logon = logon

    @property
    def mailbox_logon(self) -> Logon:
        """The logon that this object was opened under."""
        assert self.logon is not None
        return self.logon

    @property
    def weight(self) -> int:
        """About how many bytes it keeps in memory that are its own alone; 0 where that is little."""
        return 0

    @property
    def code_page(self) -> int:
        """What 8-bit texts of the object are in: of a message what it was opened with, else the logon's."""
        return self.mailbox_logon.settings.code_page

    @property
    def codec(self) -> str:
        """The Python codec of the code page."""
        return codec_of(self.code_page)


class PropertyObject(ServerObject):
    """An object with properties: a logon, folder, message or attachment."""

    __slots__ = ()

    #: What types of properties can be opened as streams: [MS-OXCPRPT] 2.2.14.
    stream_types: ClassVar[frozenset[PropertyType]] = frozenset()

    def properties(self, tags: Sequence[PropertyTag] | None = None) -> PropertyMap:
        """Values by tag, computed ones too; `tags` says which are wanted where that saves work.

        Texts are `str` under a String tag; a value too large for a row is a `store.base.Content`.
        """
        raise NotImplementedError
