"""What is asked of an LDAP server over one connection, and a pool of such connections.

Answers are read in pages, so that memory is bounded whatever the directory holds; attributes that Active Directory
tells in ranges ([MS-ADTS] 3.1.1.3.1.3.3) are put together. Every value in a filter or a name is escaped by
`escape_filter` and `escape_name`. What the server refuses is a `DirectoryError` that says what to do.
"""

from __future__ import annotations

import dataclasses
import enum
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import ldap3
from ldap3.core import results

from openchange_py.addressbook.base import DirectoryError, EntryExists, NoSuchEntry
from openchange_py.addressbook.ldap.connection import DirectoryAway, LdapServers, close, connect, error_text

#: Seconds for connecting, for TLS, and for each answer; a page of large entries takes a fraction of it.
STEP_SECONDS: Final = 30.0
#: Entries per page. Active Directory gives no more than 1000 at a time.
PAGE: Final = 500
#: Connections that are kept while nobody uses them.
_KEPT: Final = 4
#: [MS-ADTS] 3.1.1.3.4.3.1: LDAP_CAP_ACTIVE_DIRECTORY_OID, which Samba has as well.
_ACTIVE_DIRECTORY: Final = "1.2.840.113556.1.4.800"
_RANGE: Final = re.compile(r"(?P<name>[^;]+);range=(?P<first>\d+)-(?P<last>\d+|\*)", re.IGNORECASE)

BASE, LEVEL, SUBTREE = ldap3.BASE, ldap3.LEVEL, ldap3.SUBTREE


class LimitExceeded(DirectoryError):
    """The server does not tell all that was asked for."""


class ServerKind(enum.Enum):
    """What kind of directory a server is."""

    ACTIVE_DIRECTORY = "Active Directory"
    OPENLDAP = "OpenLDAP"


@dataclasses.dataclass(frozen=True, slots=True)
class LdapEntry:
    """One entry as the server gave it: attributes by their names in lower case, without options such as `;binary`."""

    dn: str
    attributes: Mapping[str, Sequence[bytes]]

    def texts(self, name: str) -> list[str]:
        """An attribute's values as text; what is no UTF-8 is replaced."""
        return [value.decode("utf-8", "replace") for value in self.attributes.get(name.casefold(), ())]

    def text(self, name: str) -> str:
        """The first value, or nothing."""
        return next(iter(self.texts(name)), "")


@dataclasses.dataclass(frozen=True, slots=True)
class RootDse:
    """What a server says of itself (RFC 4512 5.1, [MS-ADTS] 3.1.1.3.2)."""

    kind: ServerKind
    #: Where people are; the first naming context of a server that does not say.
    base: str
    #: Active Directory's configuration; "" elsewhere.
    configuration: str
    schema: str
    #: The name of an Active Directory server's own settings, of which `invocationId` is an attribute.
    service: str
    controls: frozenset[str]

    @classmethod
    def of(cls, entry: LdapEntry) -> RootDse:
        """From the entry with the empty name."""
        kind = ServerKind.OPENLDAP
        if _ACTIVE_DIRECTORY in entry.texts("supportedCapabilities"):
            kind = ServerKind.ACTIVE_DIRECTORY
        return cls(
            kind,
            entry.text("defaultNamingContext") or entry.text("namingContexts"),
            entry.text("configurationNamingContext"),
            entry.text("schemaNamingContext") or entry.text("subschemaSubentry"),
            entry.text("dsServiceName"),
            frozenset(entry.texts("supportedControl")),
        )


_ROOT_ATTRIBUTES: Final = (
    "supportedCapabilities",
    "supportedControl",
    "defaultNamingContext",
    "namingContexts",
    "configurationNamingContext",
    "schemaNamingContext",
    "subschemaSubentry",
    "dsServiceName",
)


def escape_filter(value: str | bytes) -> str:
    """A value as a filter may hold it (RFC 4515 3): whatever is no ASCII letter or digit is `\\hh`."""
    raw = value.encode("utf-8", "replace") if isinstance(value, str) else value
    return "".join(chr(byte) if chr(byte).isascii() and chr(byte).isalnum() else f"\\{byte:02x}" for byte in raw)


def escape_name(value: str) -> str:
    """A value as a distinguished name may hold it (RFC 4514 2.4): what is no letter, digit, hyphen or dot is `\\hh`.

    Letters of other scripts stand as they are; a space within words too, for people's eyes.
    """
    inner = len(value.rstrip(" ")) - 1
    return "".join(
        character
        if character.isalnum() or character in "-._" or (character == " " and 0 < place < inner)
        else "".join(f"\\{byte:02x}" for byte in character.encode("utf-8", "replace"))
        for place, character in enumerate(value)
    )


#: The names of an attribute type (RFC 4512 4.1.2): one, or several in parentheses.
_NAMES: Final = re.compile(r"\bNAME\s+(?:'([^']*)'|\(([^)]*)\))")


def _quoted(attribute_type: str) -> list[str]:
    match = _NAMES.search(attribute_type)
    return re.findall(r"[^'\s]+", match[1] or match[2]) if match else []


class Session:
    """One connection, used by one thread at a time."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.root = RootDse.of(self.read("", _ROOT_ATTRIBUTES) or LdapEntry("", {}))

    @property
    def is_active_directory(self) -> bool:
        """Whether the server is Samba's or Microsoft's."""
        return self.root.kind is ServerKind.ACTIVE_DIRECTORY

    def close(self) -> None:
        """Let go of the connection."""
        close(self._connection)

    # Reading

    def lacking(self, names: Iterable[str]) -> frozenset[str]:
        """Those of some attributes that the server's schema does not have."""
        wanted = {name.casefold(): name for name in names}
        if self.is_active_directory:
            condition = "".join(f"(lDAPDisplayName={escape_filter(name)})" for name in wanted)
            found = self.search(self.root.schema, f"(|{condition})", ["lDAPDisplayName"], scope=LEVEL)
            known = {entry.text("lDAPDisplayName").casefold() for entry in found}
        else:
            schema = self.read(self.root.schema, ["attributeTypes"], "(objectClass=subschema)")
            types = schema.texts("attributeTypes") if schema else []
            known = {name.casefold() for one in types for name in _quoted(one)}
        return frozenset(name for folded, name in wanted.items() if folded not in known)

    def search(
        self,
        base: str,
        condition: str,
        attributes: Sequence[str],
        *,
        scope: Any = SUBTREE,
        controls: Sequence[Any] = (),
        page: int = PAGE,
    ) -> Iterator[LdapEntry]:
        """Entries below `base`, page by page; none where there is no such base."""
        cookie: bytes | None = None
        while True:
            found = self._page(base, condition, attributes, scope, controls, page, cookie)
            if found is None:
                return
            cookie = self._cookie()
            for item in found:
                if item["type"] == "searchResEntry":
                    yield self._entry(item)
            if not cookie:
                return

    def read(
        self, dn: str, attributes: Sequence[str], condition: str = "(objectClass=*)", controls: Sequence[Any] = ()
    ) -> LdapEntry | None:
        """One entry; None where it is not there, or not as `condition` says."""
        found = self._page(dn, condition, attributes, BASE, controls, None, None)
        return next((self._entry(item) for item in found or () if item["type"] == "searchResEntry"), None)

    def raw_search(self, base: str, condition: str, attributes: Sequence[str], controls: Sequence[Any]) -> list[Any]:
        """All messages that answer one search, intermediate ones and the last one too, as `ldap3` has them."""
        found = self._page(base, condition, attributes, SUBTREE, controls, None, None)
        return [*(found or ()), self._connection.result]

    def _page(
        self,
        base: str,
        condition: str,
        attributes: Sequence[str],
        scope: Any,
        controls: Sequence[Any],
        page: int | None,
        cookie: bytes | None,
    ) -> list[Any] | None:
        connection = self._connection
        with self._speaking():
            connection.search(
                base,
                condition,
                scope,
                ldap3.DEREF_NEVER,
                attributes=list(attributes),
                controls=list(controls) or None,
                paged_size=page,
                paged_cookie=cookie,
                paged_criticality=page is not None,
            )
        code = connection.result["result"]
        if code == results.RESULT_NO_SUCH_OBJECT:
            return None
        if code in (results.RESULT_SIZE_LIMIT_EXCEEDED, results.RESULT_ADMIN_LIMIT_EXCEEDED):
            raise LimitExceeded(
                f"the directory tells only some of what is below {base!r}: raise the limits of the account that it is "
                "asked with (OpenLDAP: olcLimits with size.prtotal=unlimited)"
            )
        if code != results.RESULT_SUCCESS:
            raise refusal(connection.result, f"search below {base!r}")
        return list(connection.response or ())

    def _cookie(self) -> bytes | None:
        paged = (self._connection.result.get("controls") or {}).get("1.2.840.113556.1.4.319") or {}
        return paged.get("value", {}).get("cookie") or None

    def _entry(self, item: Any) -> LdapEntry:
        """With all values of attributes that the server tells in ranges."""
        dn = item["raw_dn"].decode("utf-8", "replace")
        found: dict[str, list[bytes]] = {}
        for name, values in item["raw_attributes"].items():
            if (ranged := _RANGE.fullmatch(name)) is not None:
                found[ranged["name"].casefold()] = list(dict.fromkeys([*values, *self._rest(dn, ranged)]))
            else:
                found.setdefault(name.partition(";")[0].casefold(), []).extend(values)
        return LdapEntry(dn, found)

    def _rest(self, dn: str, ranged: re.Match[str]) -> Iterator[bytes]:
        while ranged["last"] != "*":
            first = int(ranged["last"]) + 1
            response = self._page(dn, "(objectClass=*)", [f"{ranged['name']};range={first}-*"], BASE, (), None, None)
            found = _ranged(response or (), ranged["name"])
            if found is None:
                return  # there is no more, or it is gone
            following, values = found
            yield from values
            if following is None or int(following["first"]) != first:
                return
            ranged = following

    # Writing

    def add(self, dn: str, classes: Sequence[str], attributes: Mapping[str, Sequence[str | bytes]]) -> None:
        """A new entry; `EntryExists`."""
        with self._speaking():
            self._connection.add(dn, list(classes), {name: list(values) for name, values in attributes.items()})
        self._check(f"add {dn}")

    def modify(self, dn: str, changes: Mapping[str, Sequence[tuple[Any, Sequence[str | bytes]]]]) -> None:
        """By attribute a list of operation (`ldap3.MODIFY_ADD`, ...) and values. `NoSuchEntry`."""
        if changes:
            with self._speaking():
                self._connection.modify(dn, {name: list(operations) for name, operations in changes.items()})
            self._check(f"change {dn}")

    def delete(self, dn: str) -> None:
        """`NoSuchEntry`."""
        with self._speaking():
            self._connection.delete(dn)
        self._check(f"delete {dn}")

    def rename(self, dn: str, relative: str, parent: str | None = None) -> None:
        """A new relative name, below another parent where one is given."""
        with self._speaking():
            self._connection.modify_dn(dn, relative, new_superior=parent)
        self._check(f"rename {dn}")

    def set_user_password(self, dn: str, password: str) -> None:
        """The password modify operation (RFC 3062): the server keeps it as it is configured."""
        with self._speaking():
            done = self._connection.extend.standard.modify_password(dn, new_password=password)
        if not done:
            raise refusal(self._connection.result, f"set the password of {dn}")

    def _check(self, what: str) -> None:
        if self._connection.result["result"] != results.RESULT_SUCCESS:
            raise refusal(self._connection.result, what)

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """What `ldap3` raises is one error here; the connection is good for nothing then."""
        try:
            yield
        except Exception as error:  # its own errors, OSErrors, and on garbage whatever came up
            close(self._connection)
            raise DirectoryAway(f"the connection to the directory was lost: {error_text(error)}") from error


def _ranged(response: Sequence[Any], name: str) -> tuple[re.Match[str] | None, list[bytes]] | None:
    """The values of a range, and which it is; None for the last one, which Samba calls by the bare name."""
    for item in response:
        for key, values in (item.get("raw_attributes") or {}).items():
            match = _RANGE.fullmatch(key)
            if (match["name"] if match else key).casefold() == name.casefold():
                return match, list(values)
    return None


_ADVICE: Final = {
    results.RESULT_INSUFFICIENT_ACCESS_RIGHTS: "the account that we bind as may not: give it the right",
    results.RESULT_STRONGER_AUTH_REQUIRED: "the server wants an encrypted connection: use ldaps://",
    results.RESULT_CONFIDENTIALITY_REQUIRED: "the server wants an encrypted connection: use ldaps://",
    results.RESULT_UNDEFINED_ATTRIBUTE_TYPE: "the server's schema lacks it: `ocpy provision` extends it",
    results.RESULT_OBJECT_CLASS_VIOLATION: "the server's schema does not allow it: `ocpy provision` extends it",
    results.RESULT_NO_SUCH_ATTRIBUTE: "the server's schema lacks it, or the value is not there",
    results.RESULT_BUSY: "try again later",
    results.RESULT_UNAVAILABLE: "try again later",
}


def refusal(result: Mapping[str, Any], what: str) -> DirectoryError:
    """The error for what a server refused: what was asked, what it said, and what to do about it."""
    said = f"{what}: {result['description']}"
    # The servers' texts name attributes and rules, never values of ours; passwords are in none of them.
    if message := str(result.get("message") or "").strip().rstrip("\0"):
        said += f" ({message[:200]})"
    if advice := _ADVICE.get(result["result"]):
        said += f"; {advice}"
    match result["result"]:
        case results.RESULT_ENTRY_ALREADY_EXISTS:
            return EntryExists(said)
        case results.RESULT_NO_SUCH_OBJECT:
            return NoSuchEntry(said)
        case _:
            return DirectoryError(said)


class Pool:
    """Sessions for several threads. A session that was kept is tried before it is given out again."""

    def __init__(self, servers: LdapServers, *, seconds: float = STEP_SECONDS) -> None:
        self.servers = servers
        self._seconds = seconds
        self._guard = threading.Lock()
        self._idle: list[Session] = []
        self._closed = False

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session that works; `DirectoryAway` where there is none."""
        session = self._kept() or Session(connect(self.servers, self._seconds))
        try:
            yield session
        except DirectoryAway:
            session.close()
            raise
        except BaseException:
            # Refused, or an error of the caller: in the middle of an answer the connection is not used again.
            self._give_back(session)
            raise
        self._give_back(session)

    def _kept(self) -> Session | None:
        while True:
            with self._guard:
                if self._closed:
                    raise DirectoryAway("the directory was closed")
                if not self._idle:
                    return None
                session = self._idle.pop()
            try:
                session.read("", ["namingContexts"])
            except DirectoryError:
                session.close()
            else:
                return session

    def _give_back(self, session: Session) -> None:
        with self._guard:
            if not self._closed and len(self._idle) < _KEPT:
                self._idle.append(session)
                return
        session.close()

    def close(self) -> None:
        """Close what is idle now, and the others when they are given back."""
        with self._guard:
            self._closed, idle, self._idle = True, self._idle, []
        for session in idle:
            session.close()
