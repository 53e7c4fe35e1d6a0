r"""Binding strings, as Samba writes them: `[OBJECT@]ncacn_ip_tcp:HOST[ENDPOINT,FLAG,OPTION=VALUE,...]`, and lists.

MAPI over HTTP is named by its URL, as Autodiscover tells it without its last part: `https://HOST[:PORT]/mapi/[FLAG,...]`.
RPC over HTTP: `ncacn_http:HOST[PORT,RpcProxy=PROXY:PORT,FLAG,...]`. Named pipes: `ncacn_np:HOST[\pipe\NAME,FLAG,...]`.
What is known and what works are two things: a flag that Samba knows and that has no meaning here yet is
refused by name rather than ignored, because ignoring one would weaken a connection silently.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from openchange_py.rpc.security import AuthLevel, AuthType

if TYPE_CHECKING:
    from openchange_py.rpc.representation import StubFormat

#: Other transports than RPC over TCP; the first is that of a binding by URL.
MAPI_HTTP = "mapihttp"
RPC_HTTP = "ncacn_http"
NAMED_PIPE = "ncacn_np"
#: Where plain HTTP is nobody else's to read.
_LOOPBACK = ("127.0.0.1", "::1", "localhost")

_LEVELS = {
    "connect": AuthLevel.CONNECT,
    "packet": AuthLevel.PACKET,
    "sign": AuthLevel.INTEGRITY,
    "seal": AuthLevel.PRIVACY,
}
_SUPPORTED_FLAGS = frozenset(
    {*_LEVELS, "bigendian", "krb5", "ndr64", "ntlm", "padcheck", "print", "spnego", "validate"}
)
_UNSUPPORTED_FLAGS = {
    "schannel": "Netlogon's secure channel is for domain controllers, no Exchange takes it",
    "none": "ncacn_np alone has SMB's logon to go without",
    "smb1": "SMB 1 is not spoken",
    "smb2": "it is for ncacn_np",
}
_UNSUPPORTED_OPTIONS = {
    "abstract_syntax": "the call says which interface it needs",
    "assoc_group_id": "each session has its own",
    "transfer_syntax": "use the flag ndr64",
}
_SUPPORTED_OPTIONS = frozenset({"endpoint", "localaddress", "target_hostname", "target_principal"})
#: Named pipes: SMB 2 or 3 is spoken anyway, and with `none` RPC has no logon of its own.
_PIPE_FLAGS = _SUPPORTED_FLAGS | {"none", "smb2"}
#: RPC over HTTP: these are of the server, and what begins with the proxy's name is of it and of its HTTPS.
_RPC_HTTP_FLAGS = _SUPPORTED_FLAGS | {"basic"}
_RPC_HTTP_OPTIONS = _SUPPORTED_OPTIONS | {"ca", "pin", "proxy_hostname", "rpcproxy"}
#: What a binding by URL takes.
_URL_FLAGS = frozenset({"basic", "krb5", "ntlm", "print", "spnego"})
_URL_OPTIONS = frozenset({"ca", "localaddress", "pin", "target_hostname", "target_principal"})
_TRANSPORTS = {
    "ncacn_ip_tcp": "",
    NAMED_PIPE: "",
    RPC_HTTP: "",
    "ncalrpc": "local RPC is not available, use ncacn_ip_tcp",
    "ncadg_ip_udp": "connectionless RPC is not available, use ncacn_ip_tcp",
}
_PIPE = re.compile(r"(?:\\pipe\\|\\)?(?P<name>[\w.-]{1,64})", re.ASCII | re.IGNORECASE)
#: The pipe of the endpoint mapper, which is asked where none is named.
_MAPPER = "epmapper"
_PORT = re.compile(r"\d{1,9}", re.ASCII)
_PIN = re.compile(r"(?:[0-9a-f]{2}:?){31}[0-9a-f]{2}", re.IGNORECASE)
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[^\]]*\]|[^\[\]/?#:@]+)(?::(?P<port>\d{1,9}))?"
    r"(?P<path>/[^\[\]?#\s]*)?(?:\?(?P<query>[^\[\]#\s]*))?(?:\[(?P<options>[^\]]*)\])?",
    re.ASCII | re.IGNORECASE,
)
_SHAPE = re.compile(
    r"(?:(?P<object>[^@\[]+)@)?(?P<transport>\w+):(?P<host>\[[^\]]*\]|[^\[]*)(?:\[(?P<options>[^\]]*)\])?"
)


class BindingError(ValueError):
    """A binding string that is malformed, or asks for what is not available. The message is for a person."""


@dataclasses.dataclass(frozen=True, slots=True)
class Binding:
    """Where an RPC server is and how to talk to it.

    `port` is None, and `pipe` empty, where the endpoint mapper at `host` must be asked. `level` is None where the
    string tells no protection; `protection` is what is used then. `mechanism` is NTLMSSP, KERBEROS, or None where
    whatever the credentials have will do; `spnego` wraps it. `stubs` is how calls are represented and checked.

    `target_hostname` is the server's name where `host` is an address of it or something in front of it;
    `target_principal` names its whole service principal.
    """

    host: str
    port: int | None = None
    transport: str = "ncacn_ip_tcp"
    level: AuthLevel | None = None
    mechanism: AuthType | None = None
    spnego: bool = False
    #: Flags of the requests' representation: ndr64, bigendian, padcheck, validate.
    stub_flags: frozenset[str] = frozenset()
    print: bool = False
    object_uuid: uuid.UUID | None = None
    target_hostname: str | None = None
    target_principal: str | None = None
    local_address: str | None = None
    #: Of RPC over HTTP alone: host and port of the RPC proxy; None: HOST itself. And the proxy's name, where that is
    #: an address.
    rpc_proxy: tuple[str, int] | None = None
    proxy_hostname: str = ""
    #: Of named pipes alone: the pipe's name, and whether RPC has a logon inside of SMB's.
    pipe: str = ""
    nested: bool = True
    #: Of a URL alone: what it says behind the host.
    secure: bool = False
    path: str = ""
    query: str = ""
    #: Of what goes over HTTP: Basic, and what its server is known by.
    basic: bool = False
    #: A file with the certificates of the authorities that are believed; None: the system's.
    authorities: Path | None = None
    #: SHA-256 of the server's certificate, in hexadecimal digits.
    pin: str = ""
    text: str = dataclasses.field(default="", compare=False)

    @property
    def by_url(self) -> bool:
        """It is MAPI over HTTP."""
        return self.transport == MAPI_HTTP

    @property
    def protection(self) -> AuthLevel:
        """The level to authenticate with: seal where the binding says nothing, as Exchange demands it."""
        return AuthLevel.PRIVACY if self.level is None else self.level

    @property
    def stubs(self) -> StubFormat:
        """How the stubs of calls are represented."""
        # Imported here: codecs are nothing that a configuration is read with.
        from openchange_py.rpc.representation import StubFormat

        flags = self.stub_flags
        return StubFormat("ndr64" in flags, "bigendian" in flags, "padcheck" in flags, "validate" in flags)

    @classmethod
    def parse(cls, text: str) -> Binding:
        """The parts of a binding string; `BindingError` says what is wrong with it."""
        if "://" in text.partition("[")[0]:
            return _parse_url(cls, text.strip())
        match = _SHAPE.fullmatch(text.strip())
        if match is None:
            raise BindingError(
                f"{text!r} is no binding string: TRANSPORT:HOST[PORT,FLAG,...], e.g. ncacn_ip_tcp:exchange"
            )
        _check_transport(match["transport"])
        host = match["host"].strip().strip("[]")
        if not host:
            raise BindingError(f"{text!r} names no host")
        transport = match["transport"].casefold()
        options = _RPC_HTTP_OPTIONS if transport == RPC_HTTP else _SUPPORTED_OPTIONS
        flags = {NAMED_PIPE: _PIPE_FLAGS, RPC_HTTP: _RPC_HTTP_FLAGS}.get(transport, _SUPPORTED_FLAGS)
        parts = _parse_options(match["options"] or "", flags, options, pipes=transport == NAMED_PIPE)
        if "none" in parts.flags and parts.level in (AuthLevel.CONNECT, AuthLevel.PACKET):
            raise BindingError("flag none: SMB signs or encrypts, so it goes with sign or seal")
        return cls(
            host=host,
            port=parts.port,
            transport=transport,
            pipe=parts.pipe,
            nested="none" not in parts.flags,
            rpc_proxy=_parse_proxy(parts.options.get("rpcproxy", "")),
            proxy_hostname=parts.options.get("proxy_hostname", ""),
            basic="basic" in parts.flags,
            pin=_parse_pin(parts.options.get("pin", "")),
            authorities=_path(parts.options.get("ca", "")),
            level=parts.level,
            mechanism=_mechanism(parts.flags),
            spnego="spnego" in parts.flags,
            stub_flags=_stub_flags(parts.flags),
            print="print" in parts.flags,
            object_uuid=_parse_object(match["object"]),
            target_hostname=parts.options.get("target_hostname"),
            target_principal=parts.options.get("target_principal"),
            local_address=parts.options.get("localaddress"),
            text=text.strip(),
        )

    def __str__(self) -> str:
        return self.text or f"{self.transport}:{self.host}" + (f"[{self.port}]" if self.port else "")


def _parse_url(kind: type[Binding], text: str) -> Binding:
    match = _URL.fullmatch(text)
    if match is None:
        raise BindingError(f"{text!r} is no URL of MAPI over HTTP: https://HOST[:PORT]/mapi/[FLAG,...]")
    host, secure = match["host"].strip("[]"), match["scheme"].lower() == "https"
    if not secure and host not in _LOOPBACK:
        raise BindingError(f"{text!r}: mail and passwords over plain HTTP would be open to everybody; use https://")
    parts = _parse_options(match["options"] or "", _URL_FLAGS, _URL_OPTIONS)
    pin = _parse_pin(parts.options.get("pin", ""))
    if not secure and (pin or "ca" in parts.options or "basic" in parts.flags):
        raise BindingError(f"{text!r}: ca, pin and basic are for https://")
    if "basic" in parts.flags and parts.flags & {"krb5", "ntlm", "spnego"}:
        raise BindingError("flag basic is a way to log on of its own: leave krb5, ntlm and spnego away")
    path = match["path"] or "/mapi/"
    return kind(
        host=host,
        port=_parse_port(match["port"]) if match["port"] else 443 if secure else 80,
        transport=MAPI_HTTP,
        mechanism=_mechanism(parts.flags),
        spnego="spnego" in parts.flags,
        print="print" in parts.flags,
        target_hostname=parts.options.get("target_hostname"),
        target_principal=parts.options.get("target_principal"),
        local_address=parts.options.get("localaddress"),
        secure=secure,
        path=path if path.endswith("/") else f"{path}/",
        query=match["query"] or "",
        basic="basic" in parts.flags,
        authorities=_path(parts.options.get("ca", "")),
        pin=pin,
        text=text,
    )


def parse_bindings(text: str) -> tuple[Binding, ...]:
    """Several binding strings, separated by white space, commas or semicolons outside of brackets and quotes."""
    bindings = tuple(Binding.parse(word) for word in _words(text))
    for number, binding in enumerate(bindings):
        if str(binding) in map(str, bindings[:number]):
            raise BindingError(f"{binding} is there twice")
    return bindings


def _words(text: str) -> list[str]:
    words, word, depth, quoted = [], "", 0, False
    for character in text:
        if character == '"':
            quoted = not quoted
            continue
        depth += {"[": 1, "]": -1}.get(character, 0)
        if depth <= 0 and not quoted and (character.isspace() or character in ",;"):
            words.append(word)
            word = ""
        else:
            word += character
    if quoted:
        raise BindingError(f"{text!r} has a quote without its end")
    return [word for word in (*words, word) if word]


@dataclasses.dataclass(slots=True)
class _Parts:
    """What stood between the brackets."""

    port: int | None = None
    pipe: str = ""
    level: AuthLevel | None = None
    flags: set[str] = dataclasses.field(default_factory=set)
    options: dict[str, str] = dataclasses.field(default_factory=dict)


def _check_transport(name: str) -> None:
    if name.casefold() not in _TRANSPORTS:
        raise BindingError(f"unknown transport {name!r}; known are {', '.join(sorted(_TRANSPORTS))}")
    if refusal := _TRANSPORTS[name.casefold()]:
        raise BindingError(f"{name}: {refusal}")


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _parse_proxy(text: str) -> tuple[str, int] | None:
    """HOST or HOST:PORT; an IPv6 address can't stand between the brackets of a binding string."""
    if not text:
        return None
    host, colon, port = text.partition(":")
    if not host:
        raise BindingError(f"RpcProxy={text}: it names no host")
    return host, _parse_port(port) if colon else 443


def _parse_pin(text: str) -> str:
    if text and not _PIN.fullmatch(text):
        raise BindingError(f"pin {text!r}: it is the SHA-256 of the server's certificate, 64 hexadecimal digits")
    return text


def _parse_object(text: str | None) -> uuid.UUID | None:
    if text is None:
        return None
    try:
        return uuid.UUID(text.strip())
    except ValueError:
        raise BindingError(f"{text!r} is no object UUID") from None


def _parse_options(text: str, flags: frozenset[str], options: frozenset[str], *, pipes: bool = False) -> _Parts:
    """Of what this kind of binding takes; `pipes`: its endpoints are pipes."""
    parts = _Parts()
    for position, item in enumerate(text.split(",")):
        item = item.strip()
        name, equals, value = item.partition("=")
        if equals:
            _take_option(parts, name.strip().casefold(), value.strip(), options, pipes)
        elif pipes and position == 0 and item.startswith("\\"):
            parts.pipe = _parse_pipe(item)
        elif _PORT.fullmatch(item) and position == 0 and not pipes and "endpoint" in options:
            parts.port = _parse_port(item)
        elif item:
            _take_flag(parts, item.casefold(), flags)
    return parts


def _take_option(parts: _Parts, name: str, value: str, supported: frozenset[str], pipes: bool) -> None:
    if name == "endpoint" and pipes:
        parts.pipe = _parse_pipe(value)
    elif name == "endpoint" and name in supported:
        parts.port = _parse_port(value)
    elif name in supported:
        parts.options[name] = value
    elif name in _UNSUPPORTED_OPTIONS:
        raise BindingError(f"option {name}: {_UNSUPPORTED_OPTIONS[name]}")
    else:
        raise BindingError(_unknown("option", name, supported))


def _parse_pipe(text: str) -> str:
    """Its name; empty for the endpoint mapper's, which tells the others."""
    match = _PIPE.fullmatch(text)
    if match is None:
        raise BindingError(rf"{text!r} is no pipe: \pipe\NAME")
    name = match["name"].casefold()
    return "" if name == _MAPPER else name


def _take_flag(parts: _Parts, flag: str, supported: frozenset[str]) -> None:
    if flag not in supported:
        if flag in _UNSUPPORTED_FLAGS:
            raise BindingError(f"flag {flag}: {_UNSUPPORTED_FLAGS[flag]}")
        if flag in _LEVELS:
            raise BindingError(f"flag {flag}: it is TLS that protects what goes over HTTP")
        raise BindingError(_unknown("flag", flag, supported))
    parts.flags.add(flag)
    if (level := _LEVELS.get(flag)) is not None:
        parts.level = level if parts.level is None else max(level, parts.level)


def _mechanism(flags: set[str]) -> AuthType | None:
    if {"krb5", "ntlm"} <= flags:
        raise BindingError("flags krb5 and ntlm: choose one")
    return AuthType.KERBEROS if "krb5" in flags else AuthType.NTLMSSP if "ntlm" in flags else None


def _stub_flags(flags: set[str]) -> frozenset[str]:
    if {"bigendian", "ndr64"} <= flags:
        raise BindingError("flags bigendian and ndr64: NDR64 is little-endian")
    return frozenset(flags & {"ndr64", "bigendian", "padcheck", "validate"})


def _parse_port(text: str) -> int:
    if not _PORT.fullmatch(text) or not 0 < int(text) < 65536:
        raise BindingError(f"{text!r} is no TCP port")
    return int(text)


def _unknown(kind: str, name: str, known: frozenset[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"unknown {kind} {name!r}; {hint}known are {', '.join(sorted(known))}"
