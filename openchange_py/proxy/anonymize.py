"""Calls without what identifies or discloses: names replaced by others of the same length, contents by filler.

    cleaned = Anonymizer(Anonymize.CONTENT)
    stub = cleaned.message(request).pack()

**Names** (accounts, distinguished names, mail addresses, display names, servers) are replaced word by word, each word
by letters that a secret key makes of it, the same word by the same: `alice` in a DN, in `alice@example.test` and
alone. The key is never written. Words of the protocol (`Recipients`, `SMTP`, `IPM`, `Inbox`) stay. **Contents**,
which is every other text and every binary value but identifiers of folders and messages, become `x` and zero bytes.
Numbers, times, flags, property tags, GUIDs and lengths stay: they tell when and how much, not who and what.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Iterable
from typing import Any, Final, TypeVar

from openchange_py.proxy.leaves import Leaf, replace_leaves
from openchange_py.wire.buffer import EncodeError
from openchange_py.wire.ndr import ContextHandle
from openchange_py.wire.oxcdata.named import PropertyName
from openchange_py.wire.oxcdata.properties import PropertyTag

T = TypeVar("T")


class Anonymize(enum.Enum):
    """What is replaced."""

    NONE = "none"
    NAMES = "names"
    CONTENT = "content"

    def __str__(self) -> str:
        return self.value


#: What filler stands for: all but line ends and what ends texts.
_CONTENT: Final = re.compile(r"[^\r\n\t\0]")
#: Bytes that are in no text.
_CONTROLS: Final = bytes(set(range(0x20)) - set(b"\r\n\t"))
#: A mail address among other bytes, of 8 or 16 bits per character.
_ADDRESS: Final = re.compile(rb"([\w.-]\0?){2}@\0?([\w-]\0?){2}")
_WORD: Final = re.compile(r"[^\W_]+")
#: Words that are everybody's, in lower case.
_WORDS: Final = frozenset(
    _WORD.findall(
        "o ou cn dc recipients configuration servers exchange administrative group fydibohf23spdlt microsoft "
        "private public mdb smtp ex sip mailto ncacn ip tcp np http https com org net test example local localhost "
        "system attendant ipm ipf note appointment task contact stickynote journal schedule report inbox outbox "
        "sent items deleted calendar contacts tasks notes drafts junk mail email root top of information store "
        "finder views common shortcuts spooler queue deferred action actions reminders search folders freebusy "
        "data global address list all users "
    )
)
#: Properties that are kinds of things, not things.
_KIND_TAGS: Final = ("MessageClass", "ContainerClass", "AddressType", "AttachMimeTag", "AttachExtension", "AttachTag")
_NAME_TAGS: Final = ("Name", "Email", "Address", "Account", "Dn", "Home", "Initials", "Member", "Proxy", "Smtp")
#: Binary identifiers of folders and messages: clients must be able to use them. Those of people are names.
_ID_TAGS: Final = re.compile(
    r"PidTag((Parent|Store|Instance|Ipm\w+|Finder|Views|CommonViews|Schedule\w*|FreeBusy\w*|AdditionalRen)?EntryIds?"
    r"|(Parent)?SourceKey|(Store)?RecordKey|InstanceKey|ChangeKey|PredecessorChangeList|MappingSignature)"
)
#: Fields that are kinds, or identifiers.
_KIND_FIELDS: Final = frozenset(
    {"message_class", "explicit_message_class", "address_type", "address_types", "bookmark", "long_term_id"}
    | {"change_key", "predecessor_change_list", "source_key", "replica_guid", "address_type_name"}
)
#: Numbers that are made of a name: ulConMod ([MS-OXCRPC] 3.1.4.1) is a hash of the user's distinguished name.
_HASHES: Final = frozenset({"con_mod"})
_AUXILIARY: Final = frozenset({"aux_in", "aux_out"})
#: Fields with names in them: distinguished names, recipients, servers.
_NAME_FIELDS: Final = re.compile(
    r"dn$|_dn_|essdn|name|names|address|server|fqdn|paString|strings|user|mailbox|dns", re.I
)
_DN_BYTES: Final = (b"/o=", "/o=".encode("utf-16-le"))
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"


class Anonymizer:
    """Replaces leaves. `kept` are further words that stay, such as the names of this server."""

    def __init__(self, what: Anonymize, kept: Iterable[str] = (), key: bytes | None = None) -> None:
        self._what = what
        self._kept = _WORDS | {word.casefold() for text in kept for word in _WORD.findall(text)}
        self._key = key or secrets.token_bytes(32)

    def message(self, message: T) -> T:
        """A decoded call or ROP, changed in place."""
        return replace_leaves(message, self._clean)

    def name(self, text: str) -> str:
        """A name, word by word."""
        return _WORD.sub(lambda match: self._word(match[0]), text)

    def _word(self, word: str) -> str:
        folded = word.casefold()
        if folded in self._kept:
            return word
        digest = b""
        while len(digest) < len(word):
            digest += hmac.digest(
                self._key, len(digest).to_bytes(4, "big") + folded.encode("utf-8", "replace"), hashlib.sha256
            )
        return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[: len(word)])

    def _clean(self, leaf: Leaf) -> Any:
        value = leaf.value
        if not isinstance(value, str | bytes):
            if not isinstance(value, int | float | uuid.UUID | ContextHandle):
                raise EncodeError(f"what is in a {type(value).__name__} is not known")
            return 0 if leaf.name in _HASHES else value
        if leaf.name in _AUXILIARY:
            return b""  # the client's machine and its user
        if leaf.name in ("rgb", "rgb_in", "rgb_out"):
            return value  # ROPs, which are cleaned by themselves
        if leaf.tag is not None:
            return self._property(leaf.tag, value)
        if isinstance(leaf.owner, PropertyName):
            return value  # of programs, not of people
        if leaf.name in _KIND_FIELDS and not _holds_name(value):
            return value
        if isinstance(value, str) or _is_text(value):
            is_name = _NAME_FIELDS.search(leaf.name) is not None or _holds_name(value)
            return self._text(value, is_name)
        return self._binary(value)

    def _property(self, tag: PropertyTag, value: str | bytes) -> str | bytes:
        name = tag.name
        if name.endswith(_KIND_TAGS):
            return value
        if isinstance(value, str) or tag.type & 0x0FFF == 0x001E:
            return self._text(value, any(part in name for part in _NAME_TAGS))
        if _ID_TAGS.fullmatch(name) and not _holds_name(value):
            return value
        return self._binary(value)

    def _text(self, value: str | bytes, is_name: bool) -> str | bytes:
        if isinstance(value, bytes):
            text = value.decode("latin-1")
            return self._string(text, is_name).encode("latin-1", "replace")
        return self._string(value, is_name)

    def _string(self, text: str, is_name: bool) -> str:
        if is_name:
            return self.name(text)
        return text if self._what is Anonymize.NAMES else _CONTENT.sub("x", text)

    def _binary(self, value: bytes) -> bytes:
        if self._what is Anonymize.NAMES and not _holds_name(value):
            return value
        return bytes(len(value))


def _is_text(value: bytes) -> bool:
    """Zeros may end it, as they end some distinguished names."""
    text = value.rstrip(b"\0")
    return bool(text) and len(text.translate(None, _CONTROLS)) == len(text)


def _holds_name(value: str | bytes) -> bool:
    """A distinguished name is in it, or an address."""
    if isinstance(value, str):
        return "/o=" in value.casefold() or "@" in value
    lowered = value.lower()
    return any(part in lowered for part in _DN_BYTES) or _ADDRESS.search(lowered) is not None
