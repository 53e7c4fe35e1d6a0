"""Names of servers within text: what is replaced, what must stay, and what is learned."""

from __future__ import annotations

import pytest

from openchange_py.proxy.names import NameBook, NameMap, OwnNames, UpstreamNames, server_of_dn

OWN = OwnNames("PROXY", "proxy.example.test", ("netbios:PROXY", "ncacn_ip_tcp:proxy.example.test"))
UPSTREAM = UpstreamNames(("EX", "MAIL"), ("ex.corp.test", "192.0.2.1", "2001:db8::1"))
NAMES = NameMap(OWN, UPSTREAM, UPSTREAM)
SERVERS = "/o=Org/ou=Group/cn=Configuration/cn=Servers/cn="

#: What an upstream says, and what the client sees of it.
REPLACED = {
    SERVERS + "EX": SERVERS + "PROXY",
    SERVERS.upper() + "ex": SERVERS.upper() + "PROXY",
    SERVERS + "Ex/cn=Microsoft Private MDB": SERVERS + "PROXY/cn=Microsoft Private MDB",
    f"<ServerDN>{SERVERS}EX</ServerDN>": f"<ServerDN>{SERVERS}PROXY</ServerDN>",
    f"EX:{SERVERS.upper()}EX\0": f"EX:{SERVERS.upper()}PROXY\0",
    f"{SERVERS}EX and {SERVERS}MAIL": f"{SERVERS}PROXY and {SERVERS}PROXY",
    "CN=EX,CN=Servers,CN=Group": "CN=PROXY,CN=Servers,CN=Group",
    "netbios:EX": "netbios:PROXY",
    "ncacn_np:\\\\EX[\\pipe\\lsass]": "ncacn_np:\\\\PROXY[\\pipe\\lsass]",
    "ncacn_ip_tcp:Ex.Corp.Test": "ncacn_ip_tcp:proxy.example.test",
    "ncacn_ip_tcp:192.0.2.1[1025]": "ncacn_ip_tcp:proxy.example.test[1025]",
    "ncacn_ip_tcp:2001:DB8::1": "ncacn_ip_tcp:proxy.example.test",
    "[2001:db8::1]:443": "[proxy.example.test]:443",
    "exchangeMDB/EX": "exchangeMDB/PROXY",
    "exchangeMDB/ex.corp.test": "exchangeMDB/proxy.example.test",
    "CORP\\EX$": "CORP\\PROXY$",
    "https://ex.corp.test/EWS": "https://proxy.example.test/EWS",
    "see ex.corp.test.": "see proxy.example.test.",
}

UNTOUCHED = [
    "EX",
    "EXAMPLE",
    "EX:/O=ORG/OU=GROUP/CN=RECIPIENTS/CN=EX",
    SERVERS + "EXAMPLE",
    SERVERS + "EX2",
    SERVERS + "OTHER/cn=EX",
    "/o=EX/ou=EX/cn=Recipients/cn=EX",
    "/o=Org/ou=Group/cn=MyServers/cn=EX",
    "CN=EX,CN=Users,DC=corp",
    "CN=MY-EX,CN=Servers",
    "netbios:EX-2",
    "ex.corp.test.example",
    "my.ex.corp.test",
    "my-ex.corp.test",
    "alice@ex.corp.test",
    "192.0.2.10",
    "1192.0.2.1",
    "2001:db8::10",
    "12001:db8::1",
    "and/EX",
    "5 EX$per day",
    "MyEX$",
]


@pytest.mark.parametrize(("said", "seen"), REPLACED.items())
def test_what_is_replaced(said: str, seen: str) -> None:
    assert NAMES.to_client(said) == seen
    assert NAMES.octets_to_client(said.encode("ascii")) == seen.encode("ascii")
    for encoding in ("ascii", "utf-16-le"):
        assert NAMES.may_leave_in(said.encode(encoding))


@pytest.mark.parametrize("text", UNTOUCHED)
def test_what_stays(text: str) -> None:
    assert NAMES.to_client(text) == text
    assert NAMES.octets_to_client(text.encode("ascii")) == text.encode("ascii")


def test_the_way_back() -> None:
    assert NAMES.to_upstream(SERVERS + "proxy/cn=x") == SERVERS + "EX/cn=x"
    assert NAMES.octets_to_upstream((SERVERS + "PROXY").encode()) == (SERVERS + "EX").encode()
    assert NAMES.to_upstream("ncacn_ip_tcp:PROXY.example.test") == "ncacn_ip_tcp:ex.corp.test"
    assert NAMES.name_to_upstream("proxy") == "EX"
    assert NAMES.to_upstream("proxy") == "proxy"
    assert NAMES.may_come_in("PROXY.EXAMPLE.TEST".encode("utf-16-le"))
    assert not NAMES.may_come_in(SERVERS.encode())


def test_a_name_known_to_be_a_servers_is_replaced_as_a_whole() -> None:
    assert NAMES.name_to_client("ex") == "PROXY"
    assert NAMES.name_to_client("Ex.corp.test") == "proxy.example.test"
    assert NAMES.name_to_client("other") == "other"
    assert NAMES.hides("MAIL")
    assert NAMES.hides("192.0.2.1")
    assert not NAMES.hides("proxy")


@pytest.mark.parametrize(
    "part", ["ncacn_", "exchange", "exchange ", "\\\\", "/cn=servers", "cn=ex,", "ex.", "1:", "ex$"]
)
def test_hostile_text_is_matched_in_linear_time(part: str) -> None:
    """In quadratic time this would take minutes."""
    text = part * (1_000_000 // len(part)) + " ex.corp.test"
    assert NAMES.to_client(text).endswith(" proxy.example.test")
    assert NAMES.octets_to_client(text.encode()).endswith(b" proxy.example.test")


def test_half_of_an_east_asian_character_is_no_beginning_of_a_word() -> None:
    """In code page 932 the second byte of a character may be a letter: 0x83 0x65 is one."""
    text = b"\x83" + b"ex.corp.test"
    assert text[:2].decode("cp932") == "テ"
    assert NAMES.octets_to_client(text) == text
    # In Unicode a host may stand among such characters, which are no part of its name.
    assert NAMES.to_client("テex.corp.testテ") == "テproxy.example.testテ"


def test_equal_names_are_left_alone() -> None:
    same = UpstreamNames(("PROXY",), ("proxy.example.test",))
    names = NameMap(OWN, same, same)
    assert not names.may_leave_in(b"PROXY proxy.example.test")
    assert names.to_client(SERVERS + "PROXY") == SERVERS + "PROXY"


def test_nothing_known_changes_nothing() -> None:
    names = NameMap(OWN, UpstreamNames(), UpstreamNames())
    for text in (*REPLACED, *UNTOUCHED):
        assert names.to_client(text) == names.to_upstream(text) == text


def test_hops_compose() -> None:
    """A proxy in front of a proxy: what the inner one made of the server's names the outer one makes its own."""
    middle = OwnNames("MIDDLE", "middle.example.test", ())
    inner = NameMap(middle, UPSTREAM, UPSTREAM)
    hop = UpstreamNames((middle.netbios,), (middle.fqdn,))
    outer = NameMap(OWN, hop, hop)
    for said, seen in REPLACED.items():
        assert outer.to_client(inner.to_client(said)) == seen
    assert inner.to_upstream(outer.to_upstream(SERVERS + "PROXY")) == SERVERS + "EX"


def test_what_a_server_calls_itself_comes_before_what_the_binding_says() -> None:
    book = NameBook(OWN)
    book.learn("up", "mail.corp.test", "192.0.2.1")
    assert book.names("up").to_upstream(SERVERS + "PROXY") == SERVERS + "MAIL"
    book.learn("up", "EX1", "ex1.corp.test", first=True)
    names = book.names("up")
    assert names.to_upstream(SERVERS + "PROXY") == SERVERS + "EX1"
    assert names.to_upstream("//proxy.example.test") == "//ex1.corp.test"
    for name in ("mail.corp.test", "192.0.2.1", "ex1.corp.test"):
        assert names.to_client(name) == "proxy.example.test"


def test_a_server_without_a_domain_keeps_its_netbios_name() -> None:
    book = NameBook(OWN)
    book.learn("up", "EX1", "localhost", "127.0.0.1", first=True)
    names = book.names("up")
    assert names.to_upstream(SERVERS + "PROXY") == SERVERS + "EX1"
    assert names.to_upstream("proxy.example.test") == "127.0.0.1"
    assert names.to_client("localhost") == "localhost"


def test_each_upstream_has_its_own_way_back_and_nobody_sees_the_others() -> None:
    book = NameBook(OWN, ["HIDDEN", "hidden.corp.test"])
    book.learn("a", "ex1.corp.test")
    book.learn("b", "ex2.corp.test")
    for upstream, server in (("a", "EX1"), ("b", "EX2")):
        names = book.names(upstream)
        assert names.to_upstream(SERVERS + "PROXY") == SERVERS + server
        for name in ("EX1", "EX2", "HIDDEN"):
            assert names.to_client(SERVERS + name) == SERVERS + "PROXY"
    assert book.names("not known").to_upstream(SERVERS + "PROXY") == SERVERS + "HIDDEN"


def test_what_is_no_name_is_not_learned() -> None:
    book = NameBook(OWN)
    for name in ("", "a b", ".", "x" * 64, "ex1..corp", "(?:", "ä.corp.test", "a/b"):
        book.learn("up", name)
        book.redirected("alice", name)
    assert book.names("up").to_client("a b (?: ex1..corp") == "a b (?: ex1..corp"


def test_an_upstream_can_not_teach_without_end() -> None:
    book = NameBook(OWN)
    for number in range(1000):
        book.learn("up", f"ex{number}.corp.test", first=True)
        book.redirected(f"user{number}", f"{SERVERS}other{number}")
    names = book.names("up")
    assert names.hides("ex999.corp.test")
    assert sum(names.hides(f"ex{n}.corp.test") for n in range(1000)) <= 64
    assert sum(names.hides(f"other{n}") for n in range(1000)) <= 64


def test_redirects() -> None:
    book = NameBook(OWN)
    book.learn("a", "ex1.corp.test")
    book.learn("b", "ex2.corp.test")
    assert book.redirect_of("alice") is None
    book.redirected("Alice", SERVERS + "ex2")
    assert book.redirect_of("alice") == "b"
    book.redirected("alice", SERVERS + "EX3/cn=Microsoft Private MDB")
    assert book.redirect_of("alice") is None
    assert book.names("a").to_client(SERVERS + "EX3") == SERVERS + "PROXY"
    # What an address book says of a server does not make that server the one that is asked.
    book.hide("EX3", "ex3.corp.test")
    book.learn("c", "ex3.corp.test")
    assert book.redirect_of("alice") == "c"


def test_the_server_in_a_distinguished_name() -> None:
    assert server_of_dn(SERVERS + "EX1/cn=Microsoft Private MDB") == "EX1"
    assert server_of_dn("ex1.corp.test") == "ex1.corp.test"
