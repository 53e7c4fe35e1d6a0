"""What every subcommand of `ocpy client` needs: which server, which account, and what went wrong."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import click

from openchange_py.cli.client_output import printable
from openchange_py.cli.settings import read_password
from openchange_py.client.connection import Account, Connector, Server
from openchange_py.client.endpoints import read_https, read_ready_file
from openchange_py.client.errors import AmbiguousName, ClientError, LogonRefused, NoSuchName, Unreachable
from openchange_py.client.profile import Profile
from openchange_py.client.web import HTTPS_PORT, Web, WebTransport
from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.rpc.security import AuthLevel, SecurityError
from openchange_py.transports.epmapper import EPMAPPER_PORT
from openchange_py.transports.pipe_client import PIPE, PipePlace
from openchange_py.transports.smb_client import SMB_PORT
from openchange_py.transports.tcp_client import ConnectionLost
from openchange_py.transports.tls import ClientTls, TlsError
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import PropertyMap

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_LEVELS: Final = {
    "connect": AuthLevel.CONNECT,
    "integrity": AuthLevel.INTEGRITY,
    "privacy": AuthLevel.PRIVACY,
}

#: The options, in the order in which --help shows them; they may stand before the subcommand and behind it.
_OPTIONS: Final = (
    click.option("--server", metavar="HOST", help="The server. [environment: OCPY_SERVER]"),
    click.option(
        "--port",
        metavar="PORT",
        type=click.IntRange(1, 65535),
        help=f"The port of its endpoint mapper, with --transport np that of SMB; default: {EPMAPPER_PORT}, {SMB_PORT}.",
    ),
    click.option(
        "--transport",
        type=click.Choice(["tcp", "np", "http", "mapihttp"]),
        help="How to reach it: RPC over TCP, over named pipes, over HTTP, or MAPI over HTTP. Default: tcp.",
    ),
    click.option("--pipe", "pipe_name", metavar="NAME", help=f"With --transport np: the pipe to use. Default: {PIPE}."),
    click.option(
        "--https-port",
        metavar="PORT",
        type=click.IntRange(1, 65535),
        help=f"Its port for HTTPS; default: {HTTPS_PORT}.",
    ),
    click.option(
        "--ca",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Over HTTPS: believe the authorities, or the self-signed certificate, in FILE, instead of the system's.",
    ),
    click.option(
        "--endpoints",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Take host and ports from a ready file of `ocpy serve --ready-file`.",
    ),
    click.option(
        "--user", metavar="NAME", help="NAME, NAME@domain or DOMAIN\\NAME, as whom to log on. [environment: OCPY_USER]"
    ),
    click.option(
        "--password-file",
        metavar="FILE",
        help="Read the password from the first line of FILE (- for standard input) instead of asking for it. "
        "[environment: OCPY_PASSWORD_FILE]",
    ),
    click.option(
        "--level",
        type=click.Choice(list(_LEVELS)),
        help="How calls are protected: not at all beyond the logon, signed, or encrypted. Default: privacy.",
    ),
    click.option("--spnego", is_flag=True, default=None, help="Wrap NTLM or Kerberos in SPNEGO, as domain members do."),
    click.option(
        "--kerberos",
        is_flag=True,
        default=None,
        help="Log on with the tickets that kinit got (KRB5CCNAME), as --user, where the cache has several, and without "
        "a password.",
    ),
    click.option(
        "--forward",
        is_flag=True,
        default=None,
        help="With --kerberos: forward the ticket (kinit -f), so that the server can go on to another one as the user.",
    ),
    click.option(
        "--target",
        metavar="HOST",
        help="The server's name in its service principals, and its certificate, where it is not --server's.",
    ),
)

_KEY: Final = "openchange_py.client"


@dataclasses.dataclass(frozen=True, slots=True)
class ConnectionOptions:
    """What the options and the environment say; `connector()` asks for the password."""

    server: str | None
    port: int | None
    transport: str | None
    pipe_name: str | None
    https_port: int | None
    ca: Path | None
    endpoints: Path | None
    user: str | None
    password_file: str | None
    level: str | None
    spnego: bool | None
    kerberos: bool | None
    forward: bool | None
    target: str | None

    def where(self) -> Server:
        """The server. Raises `UsageError`, `ClientError`."""
        if self.endpoints is not None:
            if self.server is not None or self.port is not None or self.https_port is not None:
                raise click.UsageError("--endpoints tells host and ports: leave --server and --port away")
            return read_ready_file(self.endpoints)
        host = self.server or os.environ.get("OCPY_SERVER")
        if not host:
            raise click.UsageError("say which server: --server HOST, --endpoints FILE, or OCPY_SERVER")
        return Server(host, self.port or EPMAPPER_PORT)

    def web(self, server: Server) -> Web | None:
        """The server over HTTP; None for RPC over TCP and pipes. Raises `UsageError`, `ClientError`."""
        if self.transport in (None, "tcp", "np"):
            if self.ca is not None or self.https_port is not None:
                raise click.UsageError("--ca and --https-port are for --transport http or mapihttp")
            return None
        host, port = server.host, self.https_port or HTTPS_PORT
        if self.endpoints is not None:
            host, port = read_https(self.endpoints)
        try:
            return Web(WebTransport(self.transport), host, port, ClientTls(self.ca), self.target or "")
        except TlsError as error:
            raise ClientError(str(error)) from error

    def pipe(self, server: Server) -> PipePlace | None:
        """The server's named pipe, with `--transport np`. Raises `UsageError`."""
        if self.transport == "np":
            return PipePlace(server.host, self.pipe_name or PIPE, self.port or SMB_PORT, self.target or "")
        if self.pipe_name is not None:
            raise click.UsageError("--pipe is for --transport np")
        return None

    def connector(self) -> Connector:
        """What connects to the server as the user. Raises `UsageError`, `ClientError`, `OSError`."""
        server = self.where()
        # What is wrong there is said before a password is asked for.
        self.web(server)
        self.pipe(server)
        if self.kerberos:
            return self._kerberos_connector(server)
        if self.forward:
            raise click.UsageError("--forward needs --kerberos: it is a ticket that is forwarded")
        user = self.user or os.environ.get("OCPY_USER")
        if not user:
            raise click.UsageError("say who logs on: --user NAME, or OCPY_USER")
        password = read_password(self.password_file or os.environ.get("OCPY_PASSWORD_FILE"), user)
        level = _LEVELS[self.level or "privacy"]
        return Connector(
            server,
            Account.parse(user, password),
            level=level,
            spnego=bool(self.spnego),
            target=self.target or "",
            web=self.web(server),
            pipe=self.pipe(server),
        )

    def _kerberos_connector(self, server: Server) -> Connector:
        """With the tickets of the user's credential cache. What the environment says of passwords is not looked at."""
        if self.password_file is not None:
            raise click.UsageError("--kerberos logs on with tickets: leave --password-file away")
        # Imported where it is used: nobody else waits for the library.
        from openchange_py.auth.kerberos import KerberosUnavailable
        from openchange_py.auth.kerberos_initiator import KerberosCredential, principal_of

        credential = KerberosCredential(self.user or "")
        try:
            return Connector(
                server,
                Account(principal_of(credential), "", ""),
                level=_LEVELS[self.level or "privacy"],
                spnego=bool(self.spnego),
                kerberos=credential,
                forward=bool(self.forward),
                target=self.target or "",
                web=self.web(server),
                pipe=self.pipe(server),
            )
        except KerberosUnavailable as error:
            raise ClientError(str(error)) from error
        except SecurityError as error:
            raise ClientError(f"{error}; kinit gets tickets, klist shows them") from error


_NAMES: Final = tuple(field.name for field in dataclasses.fields(ConnectionOptions))


def group_options(function: F) -> F:
    """The connection options on the group; the subcommands find them."""

    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        given = {name: kwargs.pop(name) for name in _NAMES}
        click.get_current_context().meta[_KEY] = given
        return function(*args, **kwargs)

    return cast("F", _decorated(command))


def connection_options(function: F) -> F:
    """The connection options on a subcommand, whose first argument is then a `ConnectionOptions`."""

    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        before: dict[str, Any] = click.get_current_context().meta.get(_KEY, {})
        given = {name: kwargs.pop(name) for name in _NAMES}
        # What stands behind the subcommand counts; a server named there replaces a file named in front.
        if given["server"] is not None or given["endpoints"] is not None:
            before = {**before, "server": None, "port": None, "https_port": None, "endpoints": None}
        merged = {name: before.get(name) if value is None else value for name, value in given.items()}
        return function(ConnectionOptions(**merged), *args, **kwargs)

    return cast("F", _decorated(command))


def _decorated(command: Any) -> Any:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def run_profile(options: ConnectionOptions, work: Callable[[Profile], Coroutine[Any, Any, T]]) -> T:
    """Do something as the user, with all that goes wrong in words."""

    async def logged_on(connector: Connector) -> T:
        async with Profile(connector) as profile:
            return await work(profile)

    return run(lambda: logged_on(options.connector()))


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine; what the server or the network refuses becomes one line and exit code 1."""
    try:
        return asyncio.run(work())
    except (ClientError, MapiError, RpcFault, ConnectionLost) as error:
        raise click.ClickException(printable_error(error)) from error


def printable_error(error: Exception) -> str:
    """The error for a person, with what to check."""
    if isinstance(error, AmbiguousName):
        return "\n".join([f"{error}:", *(f"    {describe(entry)}" for entry in error.candidates)])
    if isinstance(error, MapiError):
        return _mapi_error(error)
    if isinstance(error, RpcFault):
        if error.status == FaultStatus.ACCESS_DENIED:
            return "the server denies access: this account may not do that, or not with this --level"
        return f"the server answers with {error}"
    if isinstance(error, ConnectionLost):
        return f"the connection was lost: {error}"
    text = printable(str(error))
    if isinstance(error, LogonRefused):
        return f"{text}; check --user, --password-file and --level, with --kerberos --target"
    if isinstance(error, Unreachable):
        return f"{text}; check --server and --port, or --endpoints"
    if isinstance(error, NoSuchName):
        return f"{text}: `ocpy client list` shows whom it knows"
    return text


#: What the errors of opening a mailbox mean, by code.
_LOGON_ERRORS: Final = {
    ErrorCode.LoginPermission: "access denied: this account may not open that mailbox",
    ErrorCode.AccessDenied: "access denied: this account may not connect to the mailbox store",
    ErrorCode.UnknownUser: "there is no such mailbox on this server",
    ErrorCode.WrongServer: "the mailbox is on another server",
}


def _mapi_error(error: MapiError) -> str:
    name = error.code.name if isinstance(error.code, ErrorCode) else "error"
    technical = f"{error.reason}: {name} 0x{int(error.code):08X}"
    if error.reason in ("RopLogon", "EcDoConnectEx", "EcDoConnect") and error.code in _LOGON_ERRORS:
        return f"{_LOGON_ERRORS[error.code]} ({technical})"  # type: ignore[index]  # it is one of them
    if error.code == ErrorCode.AccessDenied:
        return f"access denied ({technical})"
    return f"the server answers {technical}"


def describe(entry: PropertyMap) -> str:
    """An address book entry in one line."""
    name = printable(str(entry.get(p.PidTagDisplayName, "?")))
    account, address = entry.get(p.PidTagAccount), entry.get(p.PidTagSmtpAddress) or entry.get(p.PidTagEmailAddress)
    return name + (f" <{printable(str(address))}>" if address else "") + (f" ({printable(account)})" if account else "")
