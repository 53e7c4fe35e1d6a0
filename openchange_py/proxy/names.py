"""The names of the servers relayed to, and this server's own that clients see in their place.

A name is replaced where it can be nothing else: a fully qualified name or an address as a whole word, a NetBIOS name
(which may be any word: an Exchange called EX) in a distinguished name behind `/cn=Servers/cn=`, in a binding string, a
UNC path, a service principal name, or as a computer account `NAME$`. Mail addresses stay: what stands behind `@`
is a mail domain. Names compare without case.

`NameMap` replaces within text, both ways. `NameBook` has one per upstream, and keeps what was learned: it is the
upstream's, whichever connection taught it. What the configuration does not tell, the upstream tells while it
authenticates, before the first call is sent to it; so nothing needs to be kept over a restart.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import logging
import re
import threading
from collections.abc import Iterable, Iterator
from typing import Final

logger = logging.getLogger(__name__)

#: Names that are kept of one upstream; a server has a handful.
_MAXIMUM_NAMES: Final = 64
#: Accounts whose redirect is remembered.
_MAXIMUM_REDIRECTS: Final = 10_000

_NETBIOS_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)
_FQDN: Final = re.compile(r"(?:[A-Za-z0-9_-]{1,63}\.)+[A-Za-z0-9_-]{1,63}", re.ASCII)
_SERVER_DN: Final = re.compile(r"/cn=servers/cn=(?P<name>[^/\0]+)", re.ASCII | re.IGNORECASE)

#: What a name stands behind where it is a server's. Of bounded length, so that hostile text is matched in linear time.
_SERVICES: Final = r"(?<![\w.])(?:exchange\w{0,16}|host|http|imap|ldap|pop|smtpsvc|termsrv)/"
_BINDINGS: Final = r"(?<!\w)(?:netbios|ncacn_\w{1,16}|ncalrpc):|\\\\"
#: A byte of these may be the second half of a character of an East Asian code page.
_HALF: Final = r"\x80-\xff"


@dataclasses.dataclass(frozen=True, slots=True)
class OwnNames:
    """What clients see of this server. `bindings`: one string per protocol sequence that it serves."""

    netbios: str
    fqdn: str
    bindings: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class UpstreamNames:
    """What one server is called: NetBIOS names, and hosts (qualified names, addresses), each with its own first."""

    netbios: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()

    def with_name(self, name: str, *, first: bool = False) -> UpstreamNames:
        """One name more; `first`, where the server calls itself so. What can't be a name changes nothing.

        The first label of a qualified name is taken for the NetBIOS name, as Windows makes it.
        """
        if is_address(name):
            return dataclasses.replace(self, hosts=_with(self.hosts, name.lower(), first=False))
        if _FQDN.fullmatch(name):
            label = name.partition(".")[0].upper()
            return UpstreamNames(
                _with(self.netbios, label, first=first and not self.netbios),
                _with(self.hosts, name.lower(), first=first),
            )
        if _NETBIOS_NAME.fullmatch(name):
            return dataclasses.replace(self, netbios=_with(self.netbios, name.upper(), first=first))
        return self

    @property
    def host(self) -> str | None:
        """How the server is asked for: its qualified name before its address."""
        return next((host for host in self.hosts if not is_address(host)), next(iter(self.hosts), None))


def _with(names: tuple[str, ...], name: str, *, first: bool) -> tuple[str, ...]:
    """The tuple with a name in it: at its beginning, or where it stood, or at its end."""
    if name in names and (not first or names[0] == name):
        return names
    rest = tuple(other for other in names if other != name)[: _MAXIMUM_NAMES - 1]
    return (name, *rest) if first else (*rest, name)


def is_address(name: str) -> bool:
    """Whether a host is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def server_of_dn(dn: str) -> str:
    """The name of the server in a server's distinguished name; what is no such name is a server's name itself."""
    found = _SERVER_DN.search(dn)
    return found["name"] if found else dn


def servers_in(text: str) -> Iterator[str]:
    """The servers whose distinguished names stand in a text, those whose names can be names.

    Where Exchange has an array of servers in front of others, that is a qualified name.
    """
    for found in _SERVER_DN.finditer(text):
        if _NETBIOS_NAME.fullmatch(found["name"]) or _FQDN.fullmatch(found["name"]):
            yield found["name"]


class _Replacement:
    """Some names and what they become, within text and within 8-bit text, in one direction."""

    def __init__(self, netbios: Iterable[str], new_netbios: str | None, hosts: Iterable[str], new_host: str | None):
        self.netbios = frozenset(
            name.lower() for name in netbios if new_netbios and name.lower() != new_netbios.lower()
        )
        self.hosts = frozenset(name.lower() for name in hosts if new_host and name.lower() != new_host.lower())
        self._new_netbios, self._new_host = new_netbios or "", new_host or ""
        #: What to search for first: a name with one of the others in it is found by that one.
        names = self.netbios | self.hosts
        self._names = [name for name in names if not any(other in name for other in names - {name})]
        self._octets = [name.encode("ascii") for name in self._names]
        self._needles = [*self._octets, *(name.encode("utf-16-le") for name in self._names)]
        host, name = _host_pattern(self.hosts, ""), _netbios_pattern(self.netbios, "")
        self._host, self._netbios = (re.compile(pattern, re.ASCII | re.IGNORECASE) for pattern in (host, name))
        octets = _host_pattern(self.hosts, _HALF), _netbios_pattern(self.netbios, _HALF)
        self._host8, self._netbios8 = (re.compile(pattern.encode("ascii"), re.IGNORECASE) for pattern in octets)

    def occurs(self, data: bytes) -> bool:
        """Whether one of the names may stand in a stub, in 8-bit or in Unicode; where not, that is certain."""
        lower = data.lower()
        return any(needle in lower for needle in self._needles)

    def text(self, text: str) -> str:
        lower = text.lower()
        if not any(name in lower for name in self._names):
            return text
        if self.hosts:
            text = self._host.sub(lambda _: self._new_host, text)
        if self.netbios:
            text = self._netbios.sub(lambda match: _prefix(match) + self._new_netbios, text)
        return text

    def octets(self, text: bytes) -> bytes:
        lower = text.lower()
        if not any(name in lower for name in self._octets):
            return text
        if self.hosts:
            host = self._new_host.encode("ascii")
            text = self._host8.sub(lambda _: host, text)
        if self.netbios:
            new = self._new_netbios.encode("ascii")
            text = self._netbios8.sub(lambda match: _prefix8(match) + new, text)
        return text

    def whole(self, name: str) -> str:
        """Of what is known to be a server's name and nothing else."""
        if name.lower() in self.netbios:
            return self._new_netbios
        return self.text(name)


def _prefix(match: re.Match[str]) -> str:
    return match[match.lastindex] if match.lastindex else ""


def _prefix8(match: re.Match[bytes]) -> bytes:
    return match[match.lastindex] if match.lastindex else b""


def _alternatives(names: Iterable[str]) -> str:
    """Longer names first, so that the whole of a name is found."""
    return "|".join(map(re.escape, sorted(names, key=len, reverse=True)))


def _host_pattern(hosts: frozenset[str], half: str) -> str:
    """A host as a whole word. In front of an IPv6 address a colon may stand, as in a binding string."""
    numbers = _alternatives(host for host in hosts if ":" in host)
    others = _alternatives(host for host in hosts if ":" not in host)
    patterns = [rf"(?<![\w.@{half}-])(?:{others})(?![\w{half}-]|\.\w)"] if others else []
    patterns += [rf"(?<![\w.-])(?<![0-9a-f]:)(?:{numbers})(?![\w:.])"] if numbers else []
    return "|".join(patterns)


def _netbios_pattern(names: frozenset[str], half: str) -> str:
    """A NetBIOS name where it can be nothing else; a group has what stands in front of it."""
    name, end = f"(?:{_alternatives(names)})", rf"(?![\w.{half}-])"
    return (
        rf"(/cn=servers/cn=){name}(?=[/\0<>\"'&?\s]|\Z)"
        rf"|((?<![\w-])cn=){name}(?=,cn=servers\b)"
        rf"|({_BINDINGS}|{_SERVICES}){name}{end}"
        rf"|(?<![\w.@{half}-]){name}(?=\$(?!\w))"
    )


class NameMap:
    """One upstream's names and this server's, both ways. `hidden` are those of all upstreams. Never changes."""

    def __init__(self, own: OwnNames, names: UpstreamNames, hidden: UpstreamNames) -> None:
        self.own = own
        self._out = _Replacement(hidden.netbios, own.netbios, hidden.hosts, own.fqdn)
        self._back = _Replacement([own.netbios], next(iter(names.netbios), None), [own.fqdn], names.host)

    def to_client(self, text: str) -> str:
        """Text as a client may see it."""
        return self._out.text(text)

    def to_upstream(self, text: str) -> str:
        """A client's text as the upstream understands it."""
        return self._back.text(text)

    def octets_to_client(self, text: bytes) -> bytes:
        """The same of 8-bit text, in whatever code page."""
        return self._out.octets(text)

    def octets_to_upstream(self, text: bytes) -> bytes:
        """The same of 8-bit text, in whatever code page."""
        return self._back.octets(text)

    def name_to_client(self, name: str) -> str:
        """Of what is known to be a server's name: NetBIOS, qualified, or distinguished."""
        return self._out.whole(name)

    def name_to_upstream(self, name: str) -> str:
        """Of what is known to be a server's name: NetBIOS, qualified, or distinguished."""
        return self._back.whole(name)

    def hides(self, name: str) -> bool:
        """Whether a server's name must not be seen."""
        return name.lower() in self._out.netbios or name.lower() in self._out.hosts

    def may_leave_in(self, data: bytes) -> bool:
        """Whether a response may hold an upstream's name; where not, that is certain."""
        return self._out.occurs(data)

    def may_come_in(self, data: bytes) -> bool:
        """Whether a request may hold this server's name; where not, that is certain."""
        return self._back.occurs(data)


class NameBook:
    """The names of all upstreams, by the upstream's key. `configured` are further names that nobody shall see.

    An upstream's names are what the configuration and the server itself say. What traffic teaches is hidden, but may
    be of any server.
    """

    def __init__(self, own: OwnNames, configured: Iterable[str] = ()) -> None:
        self.own = own
        self._others = UpstreamNames()
        self._upstreams: dict[str, UpstreamNames] = {}
        self._maps: dict[str, NameMap] = {}
        self._redirects: dict[str, str] = {}
        #: Large stubs are rewritten in threads.
        self._guard = threading.Lock()
        self.hide(*configured)

    def names(self, upstream: str) -> NameMap:
        """What is known now."""
        found = self._maps.get(upstream)
        return found if found is not None else self._make_map(upstream)

    def _make_map(self, upstream: str) -> NameMap:
        with self._guard:
            mine = self._upstreams.get(upstream, UpstreamNames())
            # What the administrator says is better than nothing where the upstream never told what it is called.
            names = UpstreamNames(mine.netbios or self._others.netbios, mine.hosts or self._others.hosts)
            made = self._maps[upstream] = NameMap(self.own, names, self._hidden())
        return made

    def learn(self, upstream: str, *names: str, first: bool = False) -> None:
        """An upstream is called so; `first`, where it calls itself so, the most important name in front."""
        with self._guard:
            before = known = self._upstreams.get(upstream, UpstreamNames())
            for name in reversed(names) if first else names:
                known = known.with_name(name, first=first)
            if known == before:
                return
            self._upstreams[upstream] = known
            self._maps.clear()
        logger.info("%s is called %s", upstream, ", ".join((*known.netbios, *known.hosts)))

    def hide(self, *names: str) -> None:
        """Clients shall not see these either; which upstream's they are is not known."""
        with self._guard:
            before = self._others
            for name in names:
                self._others = self._others.with_name(name)
            if self._others != before:
                self._maps.clear()

    def redirected(self, account: str, server: str) -> None:
        """The upstream sent an account to another server, given by its distinguished or any other name."""
        name = server_of_dn(server)
        self.hide(name)
        with self._guard:
            if len(self._redirects) >= _MAXIMUM_REDIRECTS:
                self._redirects.pop(next(iter(self._redirects)))
            self._redirects[account.casefold()] = name

    def redirect_of(self, account: str) -> str | None:
        """The upstream whose mailbox server an account was sent to last, its key; None where that is none of them."""
        name = self._redirects.get(account.casefold(), "").lower()
        for upstream, names in list(self._upstreams.items()):
            if name in (known.lower() for known in (*names.netbios, *names.hosts)):
                return upstream
        return None

    def _hidden(self) -> UpstreamNames:
        all_names = [*self._upstreams.values(), self._others]
        return UpstreamNames(
            tuple(name for names in all_names for name in names.netbios),
            tuple(host for names in all_names for host in names.hosts),
        )
