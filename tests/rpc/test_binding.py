"""Binding strings."""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.rpc.binding import Binding, BindingError, parse_bindings
from openchange_py.rpc.security import AuthLevel, AuthType


@pytest.mark.parametrize(
    ("text", "binding"),
    [
        ("ncacn_ip_tcp:exchange.example.test", Binding("exchange.example.test")),
        ("ncacn_ip_tcp:192.0.2.1[1024]", Binding("192.0.2.1", 1024)),
        ("ncacn_ip_tcp:host[]", Binding("host")),
        ("NCACN_IP_TCP:host[print]", Binding("host", print=True)),
        (
            "ncacn_ip_tcp:host[1024,sign,ntlm]",
            Binding("host", 1024, level=AuthLevel.INTEGRITY, mechanism=AuthType.NTLMSSP),
        ),
        ("ncacn_ip_tcp:host[krb5,spnego]", Binding("host", mechanism=AuthType.KERBEROS, spnego=True)),
        ("ncacn_ip_tcp:host[packet,spnego]", Binding("host", level=AuthLevel.PACKET, spnego=True)),
        (
            "ncacn_ip_tcp:host[135,NDR64,seal]",
            Binding("host", 135, level=AuthLevel.PRIVACY, stub_flags=frozenset({"ndr64"})),
        ),
        ("ncacn_ip_tcp:host[bigendian,padcheck]", Binding("host", stub_flags=frozenset({"bigendian", "padcheck"}))),
        ("ncacn_ip_tcp:host[validate]", Binding("host", stub_flags=frozenset({"validate"}))),
        ("ncacn_ip_tcp:host[sign,packet]", Binding("host", level=AuthLevel.INTEGRITY)),
        ("ncacn_ip_tcp:host[localaddress=192.0.2.7]", Binding("host", local_address="192.0.2.7")),
        (
            "ncacn_ip_tcp:192.0.2.1[target_principal=exchangeMDB/exch1@EXAMPLE.TEST]",
            Binding("192.0.2.1", target_principal="exchangeMDB/exch1@EXAMPLE.TEST"),
        ),
        ("ncacn_ip_tcp:host[connect]", Binding("host", level=AuthLevel.CONNECT)),
        ("ncacn_ip_tcp:host[seal,sign,print]", Binding("host", level=AuthLevel.PRIVACY, print=True)),
        ("ncacn_ip_tcp:host[endpoint=99, Print ]", Binding("host", 99, print=True)),
        ("ncacn_ip_tcp:2001:db8::1[135]", Binding("2001:db8::1", 135)),
        ("ncacn_ip_tcp:[2001:db8::1][135]", Binding("2001:db8::1", 135)),
        ("ncacn_ip_tcp:host[target_hostname=other]", Binding("host", target_hostname="other")),
        (
            "f5cc5a18-4264-101a-8c59-08002b2f8426@ncacn_ip_tcp:host",
            Binding("host", object_uuid=uuid.UUID("f5cc5a18-4264-101a-8c59-08002b2f8426")),
        ),
    ],
)
def test_binding_strings(text: str, binding: Binding) -> None:
    assert Binding.parse(text) == binding
    assert str(Binding.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is no binding string"),
        ("exchange", "is no binding string"),
        ("ncacn_ip_tcp:", "names no host"),
        ("ncacn_ip_tcp:host[1024", "is no binding string"),
        ("ncacn_tcp:host", "unknown transport 'ncacn_tcp'; known are ncacn_http, ncacn_ip_tcp"),
        ("ncacn_ip_tcp:host[krb5,ntlm]", "flags krb5 and ntlm: choose one"),
        ("ncacn_ip_tcp:host[bigendian,ndr64]", "NDR64 is little-endian"),
        ("ncacn_ip_tcp:host[schannel]", "flag schannel: Netlogon's secure channel is for domain controllers"),
        ("ncacn_ip_tcp:host[smb2]", "flag smb2: it is for ncacn_np"),
        ("ncacn_ip_tcp:host[none]", "flag none: ncacn_np alone has SMB's logon"),
        ("ncacn_np:host[smb1]", "flag smb1: SMB 1 is not spoken"),
        ("ncacn_np:host[none,connect]", "flag none: SMB signs or encrypts"),
        ("ncacn_np:host[\\pipe\\a/b]", "is no pipe"),
        ("ncacn_np:host[endpoint=1024x\\]", "is no pipe"),
        ("ncacn_np:host[lsass]", "unknown flag 'lsass'"),
        ("ncacn_np:host[1024]", "unknown flag '1024'"),
        ("ncacn_np:host[RpcProxy=a]", "unknown option 'rpcproxy'"),
        ("ncacn_ip_tcp:host[assoc_group_id=0x1]", "option assoc_group_id: each session has its own"),
        ("ncacn_ip_tcp:host[prnit]", "unknown flag 'prnit'; did you mean print? known are bigendian, connect, krb5,"),
        ("ncacn_ip_tcp:host[print,1024]", "unknown flag '1024'"),
        ("ncacn_ip_tcp:host[70000]", "'70000' is no TCP port"),
        ("ncacn_ip_tcp:host[²]", "unknown flag '²'"),
        ("ncacn_ip_tcp:host[endpoint=²]", "'²' is no TCP port"),
        ("ncacn_ip_tcp:host[colour=red]", "unknown option 'colour'"),
        ("nonsense@ncacn_ip_tcp:host", "'nonsense' is no object UUID"),
    ],
)
def test_refusals_say_why(text: str, reason: str) -> None:
    with pytest.raises(BindingError) as caught:
        Binding.parse(text)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("text", "pipe"),
    [
        (r"ncacn_np:host[\pipe\protected_storage,sign]", "protected_storage"),
        (r"ncacn_np:host[\PIPE\LSASS,sign]", "lsass"),
        (r"ncacn_np:host[\lsass,sign,smb2]", "lsass"),
        (r"ncacn_np:host[sign,endpoint=\pipe\lsass]", "lsass"),
        ("ncacn_np:host[sign,endpoint=lsass]", "lsass"),
        (r"ncacn_np:host[\pipe\epmapper,sign]", ""),
        ("ncacn_np:host[sign]", ""),
    ],
)
def test_named_pipes(text: str, pipe: str) -> None:
    binding = Binding.parse(text)
    assert (binding.transport, binding.host, binding.pipe, binding.port) == ("ncacn_np", "host", pipe, None)
    assert (binding.level, binding.nested) == (AuthLevel.INTEGRITY, True)
    assert str(binding) == text


def test_named_pipes_without_a_logon_inside() -> None:
    encrypted, signed = parse_bindings(r"ncacn_np:host[\pipe\lsass,none] ncacn_np:host[none,sign]")
    assert (encrypted.nested, encrypted.protection) == (False, AuthLevel.PRIVACY)
    assert (signed.nested, signed.protection) == (False, AuthLevel.INTEGRITY)


def test_calls_are_sealed_unless_told_otherwise() -> None:
    assert Binding.parse("ncacn_ip_tcp:host").protection is AuthLevel.PRIVACY
    assert Binding.parse("ncacn_ip_tcp:host[connect]").protection is AuthLevel.CONNECT


@pytest.mark.parametrize(
    "text",
    [
        "ncacn_ip_tcp:a[seal, print] ncacn_ip_tcp:b",
        "ncacn_ip_tcp:a[seal, print],ncacn_ip_tcp:b",
        " ncacn_ip_tcp:a[seal, print] ;\tncacn_ip_tcp:b ",
        '"ncacn_ip_tcp:a[seal, print]", "ncacn_ip_tcp:b"',
        '"ncacn_ip_tcp:a[seal, print]" ncacn_ip_tcp:b',
    ],
)
def test_lists_of_bindings(text: str) -> None:
    first, second = parse_bindings(text)
    assert (str(first), first.level, first.print) == ("ncacn_ip_tcp:a[seal, print]", AuthLevel.PRIVACY, True)
    assert second == Binding("b")
    assert parse_bindings(", ".join(map(str, (first, second)))) == (first, second)


def test_lists_of_none_and_of_one_with_an_ipv6_address() -> None:
    assert parse_bindings("") == ()
    assert parse_bindings("ncacn_ip_tcp:[2001:db8::1][135]") == (Binding("2001:db8::1", 135),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ncacn_ip_tcp:a[seal ncacn_ip_tcp:b", "is no binding string"),
        ("ncacn_ip_tcp:a ncacn_ip_tcp:b[prnit]", "unknown flag 'prnit'"),
        ("ncacn_ip_tcp:a,ncacn_ip_tcp:a", "ncacn_ip_tcp:a is there twice"),
        ('"ncacn_ip_tcp:a', "has a quote without its end"),
        ("ncacn_ip_tcp:a sealed", "'sealed' is no binding string"),
    ],
)
def test_lists_that_are_none(text: str, reason: str) -> None:
    with pytest.raises(BindingError) as caught:
        parse_bindings(text)
    assert reason in str(caught.value)


PIN = "ab:" * 31 + "cd"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ncacn_http:exch1", Binding("exch1", transport="ncacn_http")),
        (
            "ncacn_http:exch1[6001,seal,RpcProxy=mail.example.test:8443,ca=/etc/ssl/exch.pem]",
            Binding(
                "exch1",
                6001,
                "ncacn_http",
                level=AuthLevel.PRIVACY,
                rpc_proxy=("mail.example.test", 8443),
                authorities=Path("/etc/ssl/exch.pem"),
            ),
        ),
        (
            f"ncacn_http:exch1[basic,krb5,localaddress=192.0.2.7,pin={PIN},RpcProxy=192.0.2.1,proxy_hostname=mail]",
            Binding(
                "exch1",
                transport="ncacn_http",
                mechanism=AuthType.KERBEROS,
                local_address="192.0.2.7",
                rpc_proxy=("192.0.2.1", 443),
                proxy_hostname="mail",
                basic=True,
                pin=PIN,
            ),
        ),
        ("ncacn_http:exch1[RpcProxy=mail]", Binding("exch1", transport="ncacn_http", rpc_proxy=("mail", 443))),
    ],
)
def test_rpc_over_http_names_its_proxy(text: str, expected: Binding) -> None:
    assert Binding.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://exch.example.test/mapi/", Binding("exch.example.test", 443, "mapihttp", secure=True, path="/mapi/")),
        ("https://exch.example.test", Binding("exch.example.test", 443, "mapihttp", secure=True, path="/mapi/")),
        (
            "HTTPS://[2001:db8::1]:8443/ews/mapi?MailboxId=a@b[krb5,print,target_hostname=exch1]",
            Binding(
                "2001:db8::1",
                8443,
                "mapihttp",
                mechanism=AuthType.KERBEROS,
                print=True,
                target_hostname="exch1",
                secure=True,
                path="/ews/mapi/",
                query="MailboxId=a@b",
            ),
        ),
        (
            f"https://exch/[basic,ca=/etc/ssl/exch.pem,pin={PIN}]",
            Binding(
                "exch",
                443,
                "mapihttp",
                secure=True,
                path="/",
                basic=True,
                authorities=Path("/etc/ssl/exch.pem"),
                pin=PIN,
            ),
        ),
        ("http://127.0.0.1:8080/mapi/", Binding("127.0.0.1", 8080, "mapihttp", path="/mapi/")),
    ],
)
def test_mapi_over_http_is_named_by_its_url(text: str, expected: Binding) -> None:
    assert Binding.parse(text) == expected
    assert str(Binding.parse(text)) == text
    first, second = parse_bindings(f"{text} ncacn_ip_tcp:b[seal]")
    assert (first, second) == (expected, Binding.parse("ncacn_ip_tcp:b[seal]"))
    assert first.by_url
    assert not second.by_url


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("http://exch.example.test/mapi/", "over plain HTTP would be open to everybody"),
        ("ftp://exch/mapi/", "is no URL of MAPI over HTTP"),
        ("https://user@exch/mapi/", "is no URL of MAPI over HTTP"),
        ("https:///mapi/", "is no URL of MAPI over HTTP"),
        ("https://exch:99999/mapi/", "'99999' is no TCP port"),
        ("https://exch/mapi/[seal]", "it is TLS that protects"),
        ("https://exch/mapi/[ndr64]", "unknown flag 'ndr64'"),
        ("https://exch/mapi/[443]", "unknown flag '443'"),
        ("https://exch/mapi/[endpoint=443]", "unknown option 'endpoint'"),
        ("https://exch/mapi/[pin=abc]", "64 hexadecimal digits"),
        ("https://exch/mapi/[basic,ntlm]", "leave krb5, ntlm and spnego away"),
        ("http://localhost/mapi/[basic]", "are for https://"),
        ("ncacn_http:exch1[RpcProxy=:443]", "it names no host"),
        ("ncacn_http:exch1[RpcProxy=mail:x]", "'x' is no TCP port"),
        ("ncacn_http:exch1[pin=abc]", "64 hexadecimal digits"),
        ("ncacn_ip_tcp:exch1[proxy_hostname=mail]", "unknown option 'proxy_hostname'"),
        ("ncacn_ip_tcp:exch1[basic]", "unknown flag 'basic'"),
        ("ncacn_ip_tcp:exch1[rpcproxy=mail]", "unknown option 'rpcproxy'"),
    ],
)
def test_urls_that_are_refused(text: str, reason: str) -> None:
    with pytest.raises(BindingError) as caught:
        Binding.parse(text)
    assert reason in str(caught.value)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=60), st.from_regex(r"ncacn_ip_tcp:.{0,10}\[.{0,20}\]", fullmatch=True)))
def test_any_text_gives_a_binding_or_a_binding_error(text: str) -> None:
    with contextlib.suppress(BindingError):
        assert Binding.parse(text).host
    with contextlib.suppress(BindingError):
        assert all(binding.host for binding in parse_bindings(text))
