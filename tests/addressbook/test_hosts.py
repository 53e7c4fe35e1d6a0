import uuid

import pytest

from openchange_py.addressbook.base import AttributeValue, DisplayType, Entry, Kind, MinimalEntryId
from openchange_py.addressbook.hosts import OwnNames, host_of, is_server

OWN = OwnNames("SRV", "srv.example.test", pipes=True)


def server(name: str = "EX2", *addresses: str, cn: bool = True) -> Entry:
    attributes: dict[str, list[AttributeValue]] = {"networkAddress": list(addresses)}
    if cn:
        attributes["cn"] = [name]
    dn = f"/o=x/ou=y/cn=Configuration/cn=Servers/cn={name}"
    return Entry(uuid.uuid4(), MinimalEntryId(17), DisplayType.AGENT, dn, name, None, attributes, Kind.SERVER)


def test_servers_are_of_their_kind() -> None:
    assert is_server(server())
    assert not is_server(Entry(uuid.uuid4(), MinimalEntryId(18), DisplayType.MAILUSER, "/o=x", "A", "a", {}))


@pytest.mark.parametrize(
    ("addresses", "host"),
    [
        ([], ""),
        (["netbios:EX2", "NCACN_IP_TCP:Ex2.Example.test"], "ex2.example.test"),
        (["ncacn_ip_tcp:10.0.0.2", "ncacn_ip_tcp:other"], "10.0.0.2"),
        (["ncacn_ip_tcp:bad host/../", "ncacn_ip_tcp:good"], "good"),
        (["ncacn_ip_tcp:", "ncacn_ip_tcp", "ncacn_np:EX2"], ""),
        (["ncacn_ip_tcp:" + "a" * 254], ""),
    ],
)
def test_the_host_that_the_directory_says(addresses: list[str], host: str) -> None:
    assert host_of(server("EX2", *addresses)) == host


def test_this_server_is_reached_by_its_own_name_and_bindings() -> None:
    for entry in (server("srv", "ncacn_ip_tcp:old.example.test"), server("SRV", cn=False)):
        assert OWN.host(entry) == "srv.example.test"
        assert OWN.network_addresses(entry) == ["netbios:SRV", "ncacn_ip_tcp:srv.example.test", "ncacn_np:SRV"]


def test_another_server_is_reached_where_it_is() -> None:
    other = server("EX2", "netbios:EX2", "ncacn_ip_tcp:ex2.example.test")
    assert OWN.host(other) == "ex2.example.test"
    assert OWN.network_addresses(other) == ["netbios:EX2", "ncacn_ip_tcp:ex2.example.test"]


def test_who_is_in_front_of_the_others_is_the_way_to_them() -> None:
    relay = OwnNames("SRV", "srv.example.test", relays=True)
    assert relay.host(server("EX2", "ncacn_ip_tcp:ex2.example.test")) == "srv.example.test"


def test_a_server_without_address_is_reached_here() -> None:
    assert OWN.host(server("EX2")) == "srv.example.test"
    assert OWN.network_addresses(server("EX2"))[0] == "netbios:SRV"
