"""Names that somebody has already, on a real slapd."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from openchange_py.addressbook.base import EntryExists
from openchange_py.addressbook.ldap.connection import connect
from openchange_py.addressbook.ldap.mapping import identity
from openchange_py.addressbook.ldap.session import Session
from openchange_py.addressbook.ldap.taken import refuse_taken
from tests.addressbook.ldap.conftest import ORGANIZATION, SECOND, servers_of
from tests.slapd import BASE, Slapd

DN = ORGANIZATION.recipient_dn("alice")
ALICE = f"""\
dn: uid=alice,ou=Users,{BASE}
objectClass: inetOrgPerson
objectClass: mailRecipient
uid: alice
cn: Alice
sn: Liddell
mail: alice@example.test
proxyAddresses: SMTP:alice@example.test
proxyAddresses: X500:/o=Old/cn=alice
legacyExchangeDN: {DN}
userPrincipalName: alice@realm.test

"""


@pytest.fixture(scope="module")
def alice(exchange: Slapd) -> Slapd:
    exchange.change(ALICE)
    return exchange


@pytest.fixture
def session(alice: Slapd) -> Iterator[Session]:
    opened = Session(connect(servers_of(alice), 5))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("attributes", "elsewhere"),
    [
        ({"sAMAccountName": ["ALICE"]}, True),
        ({"legacyExchangeDN": [DN.upper()]}, True),
        ({"userPrincipalName": ["Alice@REALM.test"]}, True),
        ({"mail": ["Alice@example.test"]}, False),
        ({"proxyAddresses": ["smtp:x@example.test", "smtp:ALICE@example.test"]}, False),
        ({"proxyAddresses": ["x500:/o=old/CN=Alice"]}, False),
    ],
)
def test_a_name_is_one_entry_s(session: Session, attributes: dict[str, list[str]], elsewhere: bool) -> None:
    with pytest.raises(EntryExists, match="is Alice's already"):
        refuse_taken(session, None, ORGANIZATION.recipient_dn("bob"), attributes)
    entry = session.read(f"uid=alice,ou=Users,{BASE}", ["entryUUID"])
    assert entry is not None
    refuse_taken(session, identity(entry), DN, attributes)
    if elsewhere:
        with pytest.raises(EntryExists):
            refuse_taken(session, None, SECOND.recipient_dn("bob"), attributes)
    else:
        refuse_taken(session, None, SECOND.recipient_dn("bob"), attributes)


@pytest.mark.parametrize("text", ["*", "ali*", "alice)(uid=*", "*@example.test", "", "al\\69ce"])
def test_no_value_is_a_pattern(session: Session, text: str) -> None:
    attributes = {"sAMAccountName": [text], "mail": [text], "proxyAddresses": [f"smtp:{text}"]}
    refuse_taken(session, None, DN, attributes)


def test_nothing_wanted_is_nothing_taken(session: Session) -> None:
    refuse_taken(session, None, DN, {"title": ["alice"]})
