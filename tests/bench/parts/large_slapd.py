"""An OpenLDAP with as many people and groups as a large organization has, filled by `slapadd`."""

from __future__ import annotations

import base64
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from openchange_py.addressbook.ldap.connection import LdapServers, connect
from openchange_py.addressbook.ldap.session import Session
from tests.bench.parts.people import ORGANIZATION
from tests.conftest import ROOT
from tests.exchange_tree import add_organization
from tests.slapd import ADMIN, ADMIN_PASSWORD, BASE, SESSION_LOG, Slapd, find

SERVER: Final = "EXCHANGE"
#: Room for a hundred thousand people, and what a directory that is searched by names has.
_LARGE: Final = (
    "olcDbMaxSize: 4294967296",
    "olcDbIndex: cn,sn,givenName,displayName,mail,mailNickname,proxyAddresses eq,sub",
    "olcDbIndex: legacyExchangeDN,member eq",
)
_FIRST: Final = ("Anna", "Boris", "Chen", "Dora", "Émile", "Fatma", "Gerd", "Hana", "Igor", "Jana", "Karl", "Lena")
_LAST: Final = ("Berg", "Čech", "Li", "Ek", "Faure", "Gül", "Holm", "Itō", "Jansen", "Kovač", "Lindt", "Müller", "Nagy")


def name_of(number: int) -> tuple[str, str]:
    """Given and family name; every one is another person's, too."""
    return _FIRST[number % len(_FIRST)], f"{_LAST[number // len(_FIRST) % len(_LAST)]} {number:06}"


def account_of(number: int) -> str:
    return f"user{number:06}"


def servers_of(slapd: Slapd) -> LdapServers:
    """As the product asks it."""
    return LdapServers([slapd.ldaps], BASE, ADMIN, ADMIN_PASSWORD, ca_file=slapd.ca_file)


def large_slapd(place: Path, people: int, groups: int, members: int) -> Slapd:
    """The server, running: `people` accounts, and `groups` with `members` of them each."""
    slapd = Slapd(place, schemas=[ROOT / "setup" / "openldap" / "exchange.ldif"], syncprov=SESSION_LOG, database=_LARGE)
    slapd.start()
    session = Session(connect(servers_of(slapd), 5))
    add_organization(session, ORGANIZATION, SERVER)
    lists = [one.dn for one in session.search(BASE, "(purportedSearch=*)", ["cn"])]
    session.close()
    slapd.stop()
    show = [dn for dn in lists if "All Groups" not in dn and "All Contacts" not in dn]
    ldif = place / "people.ldif"
    with ldif.open("w", encoding="utf-8") as file:
        file.writelines(_person(number, show) for number in range(people))
        show = [dn for dn in lists if "All Users" not in dn and "All Contacts" not in dn]
        file.writelines(_group(number, people, members, show) for number in range(groups))
    slapadd = find("slapadd")
    assert slapadd is not None
    subprocess.run([slapadd, "-q", "-n", "1", "-F", str(place / "conf"), "-l", str(ldif)], check=True)
    ldif.unlink()
    slapd.start()
    # What changed since a time before its start no server of OpenLDAP's tells: it has to have seen a change.
    slapd.change(f"dn: {dn_of(0)}\nchangetype: modify\nreplace: title\ntitle: First\n\n")
    return slapd


def dn_of(number: int) -> str:
    return f"uid={account_of(number)},ou=Users,{BASE}"


def _person(number: int, show: list[str]) -> str:
    account, (given, family) = account_of(number), name_of(number)
    server = ORGANIZATION.server_dn(SERVER)
    return _entry(
        dn_of(number),
        objectClass=["inetOrgPerson", "securityPrincipal", "mailRecipient", "msExchBaseClass", "msExchMailStorage"],
        uid=[account],
        cn=[f"{given} {family}"],
        sn=[family],
        givenName=[given],
        displayName=[f"{given} {family}"],
        mail=[f"{account}@example.test"],
        mailNickname=[account],
        legacyExchangeDN=[ORGANIZATION.recipient_dn(account)],
        proxyAddresses=[f"SMTP:{account}@example.test", f"smtp:{given[0]}.{number:06}@example.test"],
        telephoneNumber=[f"+49 30 {number:06}"],
        title=["Engineer"],
        physicalDeliveryOfficeName=[f"Room {number % 997}"],
        department=[f"Department {number % 101}"],
        msExchHomeServerName=[server],
        msExchMailboxGuid=[uuid.UUID(int=number + 1).bytes_le],
        msExchUserAccountControl=["0"],
        showInAddressBook=show,
        manager=[dn_of(number // 12)],
    )


def _group(number: int, people: int, members: int, show: list[str]) -> str:
    account = f"group{number:03}"
    return _entry(
        f"cn={account},ou=Users,{BASE}",
        objectClass=["groupOfNames", "mailRecipient", "msExchBaseClass"],
        cn=[account],
        displayName=[f"Group {number:03}"],
        mail=[f"{account}@example.test"],
        mailNickname=[account],
        legacyExchangeDN=[ORGANIZATION.recipient_dn(account)],
        proxyAddresses=[f"SMTP:{account}@example.test"],
        showInAddressBook=show,
        member=[dn_of((number * 4973 + place * 7) % people) for place in range(members)],
    )


def _entry(dn: str, **attributes: list[str] | list[str | bytes] | list[bytes]) -> str:
    lines = [f"dn: {dn}"]
    for name, values in attributes.items():
        lines += (_line(name, value) for value in dict.fromkeys(values))
    return "\n".join(lines) + "\n\n"


def _line(name: str, value: str | bytes) -> str:
    raw = value if isinstance(value, bytes) else value.encode()
    plain = isinstance(value, str) and value.isascii()
    return f"{name}: {value!s}" if plain else f"{name}:: {base64.b64encode(raw).decode()}"


def numbers(people: int, many: int) -> Iterator[int]:
    """Some of the people, all over the directory."""
    return (place * 7919 % people for place in range(many))
