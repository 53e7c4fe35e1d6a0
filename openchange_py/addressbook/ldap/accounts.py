"""How accounts, groups and contacts are made on the two kinds of server: names, classes, passwords, who may log on.

Active Directory: [MS-ADTS] 3.1.1.3.1.5 (passwords: unicodePwd, over TLS alone) and 2.2.16 (userAccountControl).
OpenLDAP: `inetOrgPerson`, `groupOfNames` and `contact`, with as many of Exchange's auxiliary classes as the server's
schema has; the password as the server keeps userPassword, and for NTLM as Samba's sambaNTPassword.
"""

from __future__ import annotations

import abc
import hashlib
import re
import secrets
from typing import Any, Final

import ldap3
from Cryptodome.Hash import MD4

from openchange_py.addressbook.base import Attributes, DirectoryError, Kind
from openchange_py.addressbook.ldap.mapping import ACCOUNT_DISABLE, to_ldap
from openchange_py.addressbook.ldap.session import LdapEntry, Session, escape_name

Values = dict[str, list[str | bytes]]

#: [MS-ADTS] 2.2.16: ADS_UF_NORMAL_ACCOUNT.
_NORMAL_ACCOUNT: Final = 0x200
#: [MS-ADTS] 2.2.12: a universal group that is no security principal, as Exchange's distribution groups are.
_UNIVERSAL_DISTRIBUTION_GROUP: Final = "8"
#: The longest cn that Active Directory takes.
_LONGEST_CN: Final = 64
#: Bytes of randomness of a password that nobody knows.
_RANDOM_PASSWORD: Final = 32
#: Relative identifiers of Windows' own accounts are below.
_FIRST_RELATIVE_ID: Final = 1000

_AD_CLASSES: Final = {
    Kind.USER: ("top", "person", "organizationalPerson", "user"),
    Kind.GROUP: ("top", "group"),
    Kind.CONTACT: ("top", "person", "organizationalPerson", "contact"),
}
_OPENLDAP_CLASSES: Final = {
    Kind.USER: ("inetOrgPerson",),
    Kind.GROUP: ("groupOfNames",),
    Kind.CONTACT: ("contact",),
}
#: Exchange's auxiliary classes that let an entry of OpenLDAP have Exchange's attributes (setup/openldap).
_AUXILIARY: Final = (
    "securityPrincipal",
    "mailRecipient",
    "msExchBaseClass",
    "msExchCustomAttributes",
    "msExchCertificateInformation",
    "msExchMailStorage",
)
_SAMBA: Final = "sambaSamAccount"
_CLASS_NAMES: Final = re.compile(r"NAME\s+(?:'([^']+)'|\(([^)]*)\))")


class Accounts(abc.ABC):
    """What differs between the servers. `place` is where new entries go; empty for the usual place."""

    def __init__(self, place: str) -> None:
        self._place = place

    def add(self, session: Session, kind: Kind, account: str, attributes: Attributes, links: Values) -> str:
        """A new entry's distinguished name. `EntryExists`; `DirectoryError` where the server refuses."""
        values = {name: found for name, found in to_ldap(attributes, session.root).items() if found}
        values |= {name: found for name, found in links.items() if found}
        return self._add(session, kind, account, values)

    @abc.abstractmethod
    def _add(self, session: Session, kind: Kind, account: str, values: Values) -> str: ...

    def prepare(self, session: Session, entry: LdapEntry, kind: Kind) -> Values:
        """What an entry needs besides, before it gets Exchange's attributes."""
        return {}

    @abc.abstractmethod
    def set_password(self, session: Session, entry: LdapEntry, password: str) -> None:
        """So that the account logs on with it; `DirectoryError` says what is wrong with it."""

    @abc.abstractmethod
    def set_enabled(self, session: Session, entry: LdapEntry, enabled: bool) -> None:
        """Whether the account may log on."""


def _name(values: Values, account: str) -> str:
    """What a new entry is called among its neighbours."""
    found = account or next(
        (str(values[name][0]) for name in ("cn", "mailNickname", "displayName", "mail") if values.get(name)), ""
    )
    if not found:
        raise DirectoryError("an entry needs a displayName, cn, sAMAccountName or mail")
    return found


class ActiveDirectoryAccounts(Accounts):
    """Samba's or Microsoft's."""

    def _add(self, session: Session, kind: Kind, account: str, values: Values) -> str:
        name = _name(values, account)[:_LONGEST_CN]
        values.pop("cn", None)
        if account:
            values["sAMAccountName"] = [account]
        if kind is Kind.GROUP:
            values.setdefault("groupType", [_UNIVERSAL_DISTRIBUTION_GROUP])
        dn = f"CN={escape_name(name)},{self._place or f'CN=Users,{session.root.base}'}"
        if kind is Kind.USER:
            self._add_user(session, dn, account, values)
        else:
            session.add(dn, _AD_CLASSES[kind], values)
        return dn

    def _add_user(self, session: Session, dn: str, account: str, values: Values) -> None:
        """One that may log on: with a password that nobody knows until it is given another."""
        domain = ".".join(part.partition("=")[2] for part in session.root.base.split(",")).lower()
        values.setdefault("userPrincipalName", [f"{account}@{domain}"])
        values["userAccountControl"] = [str(_NORMAL_ACCOUNT | ACCOUNT_DISABLE)]
        session.add(dn, _AD_CLASSES[Kind.USER], values)
        try:
            _set_unicode_password(session, dn, f"Aa1-{secrets.token_urlsafe(_RANDOM_PASSWORD)}")
            session.modify(dn, {"userAccountControl": [(ldap3.MODIFY_REPLACE, [str(_NORMAL_ACCOUNT)])]})
        except BaseException:
            session.delete(dn)
            raise

    def set_password(self, session: Session, entry: LdapEntry, password: str) -> None:
        _set_unicode_password(session, entry.dn, password)

    def set_enabled(self, session: Session, entry: LdapEntry, enabled: bool) -> None:
        flags = int(entry.text("userAccountControl") or _NORMAL_ACCOUNT)
        wanted = flags & ~ACCOUNT_DISABLE if enabled else flags | ACCOUNT_DISABLE
        if wanted != flags:
            session.modify(entry.dn, {"userAccountControl": [(ldap3.MODIFY_REPLACE, [str(wanted)])]})


def _set_unicode_password(session: Session, dn: str, password: str) -> None:
    """[MS-ADTS] 3.1.1.3.1.5.1: the password in quotes, as UTF-16."""
    value = f'"{password}"'.encode("utf-16-le", "surrogatepass")
    try:
        session.modify(dn, {"unicodePwd": [(ldap3.MODIFY_REPLACE, [value])]})
    except DirectoryError as error:
        if "constraintViolation" in str(error):
            raise DirectoryError(f"the domain's rules refuse the password: {error}") from error
        raise


def _compared(value: str | bytes) -> str:
    """As the server compares names: without case, and any spaces between words as one (RFC 4518 2.6)."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return " ".join(text.split()).casefold()


class OpenLdapAccounts(Accounts):
    """OpenLDAP, and servers like it."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self._classes: frozenset[str] | None = None

    def _add(self, session: Session, kind: Kind, account: str, values: Values) -> str:
        name = _name(values, account)
        shown = str(next(iter(values.get("displayName") or values.get("cn") or [name])))
        values.setdefault("cn", [shown])
        attribute = "uid" if kind is Kind.USER else "cn"
        if kind is not Kind.GROUP:
            values.setdefault("sn", [shown.split()[-1] if shown.split() else shown])
        values[attribute] = [
            name,
            *(value for value in values.get(attribute, ()) if _compared(value) != _compared(name)),
        ]
        if kind is not Kind.USER and account:
            values["sAMAccountName"] = [account]
            values.pop("uid", None)
        dn = f"{attribute}={escape_name(name)},{self._found_place(session)}"
        if kind is Kind.GROUP and not values.get("member"):
            values["member"] = [dn]  # the class wants one; who reads leaves it out
        session.add(dn, [*_OPENLDAP_CLASSES[kind], *self._auxiliary(session)], values)
        return dn

    def _found_place(self, session: Session) -> str:
        """Where new entries go; the usual place is made where it is missing."""
        if self._place:
            return self._place
        place = f"ou=people,{session.root.base}"
        if session.read(place, ["ou"]) is None:
            session.add(place, ["organizationalUnit"], {"ou": ["people"]})
        return place

    def _known_classes(self, session: Session) -> frozenset[str]:
        """The object classes of the server's schema, in lower case."""
        if self._classes is None:
            schema = session.read(session.root.schema or "cn=Subschema", ["objectClasses"], "(objectClass=subschema)")
            found: set[str] = set()
            for one, several in _CLASS_NAMES.findall("\n".join(schema.texts("objectClasses") if schema else ())):
                found.update(name.casefold() for name in ([one] if one else re.findall(r"'([^']+)'", several)))
            self._classes = frozenset(found)
        return self._classes

    def _auxiliary(self, session: Session) -> list[str]:
        known = self._known_classes(session)
        return [name for name in _AUXILIARY if name.casefold() in known]

    def prepare(self, session: Session, entry: LdapEntry, kind: Kind) -> Values:
        if kind in (Kind.SERVER, Kind.ORGANIZATION):
            return {}
        present = {name.casefold() for name in entry.texts("objectClass")}
        missing: list[str | bytes] = [name for name in self._auxiliary(session) if name.casefold() not in present]
        return {"objectClass": missing} if missing else {}

    def set_password(self, session: Session, entry: LdapEntry, password: str) -> None:
        if _SAMBA.casefold() not in self._known_classes(session):
            raise DirectoryError(
                f"the directory's schema has no {_SAMBA}, so that no NTLM logon is possible: load Samba's samba.ldif"
            )
        nt_hash = MD4.new(password.encode("utf-16-le", "surrogatepass")).hexdigest().upper()  # noqa: S303  NTLM's own
        changes: dict[str, list[tuple[Any, list[str | bytes]]]] = {
            "sambaNTPassword": [(ldap3.MODIFY_REPLACE, [nt_hash])]
        }
        if _SAMBA.casefold() not in {name.casefold() for name in entry.texts("objectClass")}:
            changes["objectClass"] = [(ldap3.MODIFY_ADD, [_SAMBA])]
            changes["sambaSID"] = [(ldap3.MODIFY_REPLACE, [_security_identifier(session, entry)])]
            changes["sambaAcctFlags"] = [(ldap3.MODIFY_REPLACE, [_flags("U", True)])]
        session.modify(entry.dn, changes)
        session.set_user_password(entry.dn, password)

    def set_enabled(self, session: Session, entry: LdapEntry, enabled: bool) -> None:
        changes: dict[str, list[tuple[Any, list[str | bytes]]]] = {}
        if flags := entry.text("sambaAcctFlags"):
            changes["sambaAcctFlags"] = [(ldap3.MODIFY_REPLACE, [_flags(flags, enabled)])]
        if "msexchbaseclass" in self._known_classes(session):
            state = str(0 if enabled else ACCOUNT_DISABLE)
            changes["msExchUserAccountControl"] = [(ldap3.MODIFY_REPLACE, [state])]
            if missing := self.prepare(session, entry, Kind.USER):
                changes["objectClass"] = [(ldap3.MODIFY_ADD, missing["objectClass"])]
        if not changes:
            raise DirectoryError("the directory's schema has nothing that says who may log on: run `ocpy provision`")
        session.modify(entry.dn, changes)


def _flags(before: str, enabled: bool) -> str:
    """sambaAcctFlags: letters in brackets, filled up to eleven."""
    letters = [letter for letter in before.strip("[] ").upper() if letter not in "D "]
    return f"[{''.join(letters if enabled else [*letters, 'D']):<11}]"


def _security_identifier(session: Session, entry: LdapEntry) -> str:
    """A sambaSID: the domain's, where the directory has one, and a number made from the entry's UUID."""
    domains = session.search(session.root.base, "(objectClass=sambaDomain)", ["sambaSID"])
    digest = hashlib.sha256(session.root.base.casefold().encode()).digest()
    made = "-".join(str(int.from_bytes(digest[place : place + 4], "big")) for place in (0, 4, 8))
    domain = next((one.text("sambaSID") for one in domains), "") or f"S-1-5-21-{made}"
    number = int.from_bytes(hashlib.sha256(entry.text("entryUUID").encode()).digest()[:4], "big") >> 2
    return f"{domain}-{_FIRST_RELATIVE_ID + number}"
