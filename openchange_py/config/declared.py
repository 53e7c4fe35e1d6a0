"""Every option of the program itself, once. Modules add theirs, named `mpm_MODULE:...`."""

from __future__ import annotations

import enum
import socket
from pathlib import Path
from typing import Any

from openchange_py.config.options import (
    LogLevels,
    Option,
    boolean,
    choice,
    directory_url,
    host,
    integer,
    ldap_urls,
    log_levels,
    names,
    networks,
    optional_https_url,
    optional_path,
    path,
    seconds,
    size,
    text,
    upper,
    word,
    words,
)
from openchange_py.config.settings import Settings
from openchange_py.rpc.binding import parse_bindings
from openchange_py.rpc.security import AuthLevel

#: The interfaces that can be served or relayed.
NSPI, EMSMDB, RFR = "exchange_nsp", "exchange_emsmdb", "exchange_ds_rfr"
#: Follows `exchange_emsmdb` in everything.
ASYNC_EMSMDB = "exchange_async_emsmdb"

#: The pipe of the endpoint mapper; all others have the interfaces.
EPMAPPER_PIPE = "epmapper"

_port = integer(0, 65535)


class NamedPipes(enum.Enum):
    """Who speaks SMB for us."""

    OFF = "off"
    SAMBA = "samba"


class LogFormat(enum.Enum):
    """How a line of the log looks."""

    TEXT = "text"
    JSON = "json"


class AutoPort(enum.Enum):
    """The usual port where it can be bound, else any free one."""

    AUTO = "auto"


class LdapTls(enum.Enum):
    """How a connection to `ldap://` is protected."""

    START_TLS = "start tls"
    OFF = "off"


class LdapSasl(enum.Enum):
    """How we say who we are to an LDAP directory."""

    OFF = "off"
    GSSAPI = "gssapi"
    EXTERNAL = "external"


def port_or_off(value: str) -> int | None:
    """A TCP port, or `off`."""
    return None if value.casefold() == "off" else _port(value)


def https_port(value: str) -> int | AutoPort | None:
    """A TCP port, `auto` or `off`."""
    return AutoPort.AUTO if value.casefold() == "auto" else port_or_off(value)


def _fqdn(settings: Settings) -> str:
    host = socket.gethostname()
    return f"{settings[NETBIOS_NAME]}.{settings[REALM]}".lower() if settings[REALM] else host.lower()


def _mail_domain(settings: Settings) -> str:
    fqdn = settings[FQDN]
    return settings[REALM].lower() or fqdn.partition(".")[2] or fqdn


NETBIOS_NAME = Option(
    "netbios name", upper, lambda _: socket.gethostname().partition(".")[0].upper()[:15], "this server's name"
)
WORKGROUP = Option("workgroup", upper, "WORKGROUP", "the NetBIOS domain that accounts belong to")
REALM = Option("realm", upper, "", "the Active Directory domain, where there is one")
INTERFACES = Option("interfaces", names, (), "addresses, networks or network interfaces of this machine")
BIND_INTERFACES_ONLY = Option("bind interfaces only", boolean, False, "listen on `interfaces` alone")
LOG_LEVEL = Option(
    "log level", log_levels, LogLevels(1), "0 warnings, 1 events, 2 calls, 3 their fields; PART:LEVEL for one part"
)
LOG_FILE = Option("log file", optional_path, None, "where the log goes; standard error where it is not set")

SERVER = Option("dcerpc_mapiproxy:server", boolean, False, "answer every interface locally, relay nothing")
BINDING = Option(
    "dcerpc_mapiproxy:binding",
    parse_bindings,
    (),
    "the server to relay to, as a binding string; over several users are spread, and where one fails, go to another",
)
USERNAME = Option("dcerpc_mapiproxy:username", text, "", "the account to relay with")
PASSWORD = Option("dcerpc_mapiproxy:password", text, "", "its password", secret=True)
PASSWORD_FILE = Option("dcerpc_mapiproxy:password file", optional_path, None, "a file whose first line is its password")
DOMAIN = Option("dcerpc_mapiproxy:domain", text, lambda settings: settings[WORKGROUP], "its domain")
SERVED_INTERFACES = Option(
    "dcerpc_mapiproxy:interfaces", names, (EMSMDB, NSPI, RFR), "which interfaces are there at all"
)
MODULES = Option("dcerpc_mapiproxy:modules", names, (), "the modules that calls pass through, outermost first")
NSPI_SERVER = Option("dcerpc_mapiproxy:nspi_server", text, "", "the local server that answers exchange_nsp")
EMSMDB_SERVER = Option("dcerpc_mapiproxy:emsmdb_server", text, "", "the local server that answers exchange_emsmdb")
RFR_SERVER = Option("dcerpc_mapiproxy:rfr_server", text, "", "the local server that answers exchange_ds_rfr")
REPLACE_NAMES = Option(
    "dcerpc_mapiproxy:replace names", boolean, True, "clients see this server's name in place of the relayed one's"
)
UPSTREAM_NAMES = Option(
    "dcerpc_mapiproxy:upstream names",
    names,
    (),
    "further names that clients shall not see: NetBIOS and qualified names, addresses; the binding's are known",
)
REFERRAL_EXCLUDES = Option(
    "ocpy:referral excludes",
    names,
    (),
    "servers of the organization, by NetBIOS name, that clients are not referred to: those to be turned off",
)
DELEGATED_AUTH = Option(
    "dcerpc_mapiproxy:delegated_auth", boolean, False, "relay as the caller himself: his tickets, or his NT hash"
)
PASS_NTLM_THROUGH = Option(
    "dcerpc_mapiproxy:pass ntlm through",
    boolean,
    False,
    "with `delegated_auth`: the server relayed to checks NTLM logons at level connect, whose tokens it gets unchanged",
)
USE_MACHINE_ACCOUNT = Option(
    "dcerpc_mapiproxy:use_machine_account", boolean, False, "relay with `ocpy:machine account`, by keytab or password"
)

DATA_DIRECTORY = Option("ocpy:data directory", path, Path("/var/lib/openchange-py"), "where data is kept")
DATABASE = Option(
    "ocpy:database", text, lambda settings: _sqlite(settings, "mailboxes.db"), "SQLAlchemy URL of the mailbox database"
)
DIRECTORY = Option(
    "ocpy:directory",
    directory_url,
    lambda settings: _sqlite(settings, "directory.db"),
    "the directory: the URL of a database, or LDAP servers, ldaps://HOST[, ldaps://HOST...]",
)
DIRECTORY_INDEX = Option(
    "ocpy:directory index",
    text,
    lambda settings: _sqlite(settings, "directory.db"),
    "URL of the database beside a directory in LDAP: its index, Minimal Entry Ids, full access to mailboxes",
)
DIRECTORY_LAG = Option(
    "ocpy:directory lag",
    seconds,
    10.0,
    "how often a directory in LDAP is asked what changed",
)
USER_CONTAINER = Option(
    "ocpy:user container",
    text,
    "",
    "where new accounts, groups and contacts go in LDAP; by default CN=Users in Active Directory, ou=people elsewhere",
)
ORGANIZATION = Option("ocpy:organization", text, "First Organization", "the Exchange organization")
ADMINISTRATIVE_GROUP = Option(
    "ocpy:administrative group", text, "First Administrative Group", "the administrative group of this server"
)
MAIL_DOMAIN = Option("ocpy:mail domain", text, _mail_domain, "the domain of mail addresses made for new users")
FQDN = Option("ocpy:fqdn", text, _fqdn, "the name by which clients find this server")
EXTERNAL_FQDN = Option(
    "ocpy:external fqdn",
    host,
    lambda settings: settings[FQDN],
    "the name by which clients outside of the network find this server, which Autodiscover tells them",
)
ACTIVESYNC_URL = Option(
    "ocpy:activesync url",
    optional_https_url,
    "",
    "what Autodiscover tells mobile devices: an ActiveSync server's URL, which is none of this program's",
)
ENDPOINT_MAPPER_PORT = Option(
    "ocpy:endpoint mapper port", _port, 135, "TCP port of the endpoint mapper; 0: any free one"
)
RPC_PORT = Option("ocpy:rpc port", _port, 0, "TCP port of the RPC interfaces; 0: any free one")
HTTPS_PORT = Option(
    "ocpy:https port",
    https_port,
    AutoPort.AUTO,
    "TCP port of HTTPS; auto: 443 where it can be bound, else any free one, and none without a certificate; or off",
)
HTTP_PORT = Option(
    "ocpy:http port", port_or_off, None, "TCP port of HTTP without TLS, for proxies in front and on loopback; or off"
)
TLS_CERTIFICATE = Option(
    "ocpy:tls certificate",
    path,
    lambda settings: settings[DATA_DIRECTORY] / "tls" / "certificate.pem",
    "this server's certificate, with those that lead to its issuer's; `ocpy provision` makes one that nobody signed",
)
TLS_KEY = Option(
    "ocpy:tls key", path, lambda settings: settings[DATA_DIRECTORY] / "tls" / "key.pem", "the certificate's private key"
)
TRUSTED_PROXIES = Option(
    "ocpy:trusted proxies",
    networks,
    (),
    "addresses or networks of HTTP proxies in front, whose X-Forwarded-For and X-Forwarded-Proto are believed",
)
HTTP_WITHOUT_TLS = Option(
    "ocpy:http without tls",
    boolean,
    False,
    "`ocpy:http port` is for everybody, though all on the way can read it",
)
HTTP_AUTHENTICATION = Option(
    "ocpy:http authentication",
    words("negotiate", "ntlm", "basic", "bearer"),
    ("negotiate", "ntlm", "basic", "bearer"),
    "how HTTP clients may say who they are; basic and bearer over TLS alone, bearer with `ocpy:oidc issuer`",
)
CHANNEL_BINDING = Option(
    "ocpy:channel binding",
    word("off", "allowed", "required"),
    "allowed",
    "NTLM and Kerberos logons over HTTPS must name this server's certificate: those that name one, or all, or none",
)
HTTP_SESSION_LIFE = Option(
    "ocpy:http session life", seconds, 900.0, "a MAPI over HTTP session without a request for so long ends"
)
MAX_HTTP_SESSIONS = Option(
    "ocpy:max http sessions", integer(1, 1_000_000), 10_000, "MAPI over HTTP sessions at one time, of each endpoint"
)
MAX_HTTP_SESSIONS_PER_ACCOUNT = Option(
    "ocpy:max http sessions per account",
    integer(1, 1_000_000),
    64,
    "the same of one account; for one more the one that was used longest ago ends",
)
PENDING_PERIOD = Option(
    "ocpy:http pending period", seconds, 30.0, "how often a client that waits for a long call is told to wait on"
)
OIDC_ISSUER = Option("ocpy:oidc issuer", text, "", "whose bearer tokens are taken, as it stands in them")
OIDC_AUDIENCE = Option("ocpy:oidc audience", names, (), "whom they must be for; one of these")
OIDC_KEYS = Option("ocpy:oidc keys", text, "", "the issuer's keys, a JSON Web Key set: a file, or an https:// URL")
OIDC_CLAIM = Option(
    "ocpy:oidc claim", names, ("upn",), "the claims that name the account, which users must not be able to choose"
)
OIDC_AUTHORIZATION = Option(
    "ocpy:oidc authorization uri", text, "", "where clients get tokens, which they are told when they are asked for one"
)
MINIMUM_AUTH_LEVEL = Option(
    "ocpy:minimum auth level",
    choice(AuthLevel, {"connect": AuthLevel.CONNECT, "integrity": AuthLevel.INTEGRITY, "privacy": AuthLevel.PRIVACY}),
    AuthLevel.PRIVACY,
    "the protection that EMSMDB and NSPI calls must have: connect, integrity or privacy",
)
DOMAIN_CONTROLLER = Option(
    "ocpy:domain controller",
    names,
    (),
    "domain controllers that check NTLM logons of accounts whose password hash the directory does not tell",
)
MACHINE_ACCOUNT = Option(
    "ocpy:machine account",
    text,
    lambda settings: f"{settings[NETBIOS_NAME]}$",
    "the domain's computer account that domain controllers are asked with",
)
MACHINE_PASSWORD_FILE = Option(
    "ocpy:machine password file", optional_path, None, "a file whose first line is that account's password"
)
KEYTAB = Option(
    "ocpy:keytab", optional_path, None, "keys of this server's service principals; Kerberos is offered with them"
)
PASSWORD_DIRECTORY = Option(
    "ocpy:password directory",
    ldap_urls,
    (),
    "LDAP servers whose sambaNTPassword checks NTLM logons of accounts whose password the directory does not tell",
)
LDAP_SUFFIX = Option("ldap suffix", text, "", "where accounts are in LDAP; by default where the server says")
LDAP_ADMIN_DN = Option(
    "ldap admin dn", text, "", "who binds to LDAP; may read sambaNTPassword, and write what `ocpy newuser` changes"
)
LDAP_PASSWORD_FILE = Option("ocpy:ldap password file", optional_path, None, "a file whose first line is its password")
LDAP_SASL = Option(
    "ocpy:ldap sasl",
    choice(LdapSasl, {kind.value: kind for kind in LdapSasl}),
    LdapSasl.OFF,
    "bind to LDAP without a password: gssapi (Kerberos, over TLS) or external (as this user, over ldapi://)",
)
LDAP_PRINCIPAL = Option("ocpy:ldap principal", text, "", "who binds with gssapi; by default whose tickets are there")
LDAP_KEYTAB = Option("ocpy:ldap keytab", optional_path, None, "its keys; tickets of the credential cache by default")
LDAP_SSL = Option(
    "ldap ssl",
    choice(LdapTls, {"start tls": LdapTls.START_TLS, "off": LdapTls.OFF, "no": LdapTls.OFF}),
    LdapTls.START_TLS,
    "ldap:// is protected with StartTLS, or (off) not at all; ldaps:// always is",
)
LDAP_CA_FILE = Option(
    "ocpy:ldap ca file", optional_path, None, "certificates that LDAP servers are checked with; the system's by default"
)
LOGON_FAILURES = Option(
    "ocpy:logon failures",
    integer(1, 10_000),
    5,
    "failed logons of one account from one address before the next one has to wait",
)
LOGON_FAILURES_PER_ADDRESS = Option(
    "ocpy:logon failures per address",
    integer(0, 1_000_000),
    20,
    "accounts that fail from one address before others that never logged on from there have to wait; 0: any number",
)
LOGON_PAUSE = Option(
    "ocpy:logon pause", seconds, 1.0, "how long the first has to wait; each further failure doubles it"
)
LONGEST_LOGON_PAUSE = Option("ocpy:longest logon pause", seconds, 300.0, "how long any has to wait at most")
LOGON_FAILURE_MEMORY = Option(
    "ocpy:logon failure memory", seconds, 900.0, "failures are forgotten after so long without another"
)
MAX_CONNECTIONS = Option("ocpy:max connections", integer(1, 1_000_000), 1000, "connections at one time")
IDLE_TIMEOUT = Option(
    "ocpy:idle timeout", seconds, 3600.0, "a connection without a call for so long is closed; 0: never"
)
AUTHENTICATION_TIMEOUT = Option(
    "ocpy:authentication timeout", seconds, 30.0, "a client must have authenticated by then"
)
NCALRPC_DIR = Option(
    "ncalrpc dir", path, Path("/run/samba/ncalrpc"), "where smbd looks for the sockets of named pipes, below np/"
)
NAMED_PIPES = Option(
    "ocpy:named pipes",
    choice(NamedPipes, {"off": NamedPipes.OFF, "samba": NamedPipes.SAMBA}),
    NamedPipes.OFF,
    "serve the interfaces over named pipes too: off, or samba, where an smbd hands them over",
)
PIPE_NAMES = Option(
    "ocpy:pipe names",
    names,
    (EPMAPPER_PIPE, "lsass", "protected_storage"),
    "the pipes to serve; epmapper is the endpoint mapper's, every other one has all interfaces",
)
METRICS_PORT = Option(
    "ocpy:metrics port", port_or_off, None, "TCP port of Prometheus metrics; off, or 0 for any free one"
)
METRICS_ADDRESS = Option("ocpy:metrics address", text, "127.0.0.1", "the address that metrics are served on")
LOG_FORMAT = Option(
    "ocpy:log format",
    choice(LogFormat, {"text": LogFormat.TEXT, "json": LogFormat.JSON}),
    LogFormat.TEXT,
    "text, or json: one object per line, with connection, account and call as fields",
)
LOG_LINES = Option(
    "ocpy:log lines per client",
    integer(0, 1_000_000_000),
    300,
    "lines of the log about one address and account in a minute, further ones are only counted; 0: all of them",
)
MAX_CALL_SIZE = Option("ocpy:max call size", size, 4 << 20, "bytes of one reassembled request")
MAX_MESSAGE_SIZE = Option(
    "ocpy:max message size", size, 256 << 20, "bytes that a message may have which a client saves in a mailbox here"
)
MAX_PENDING_SIZE = Option(
    "ocpy:max pending size", size, 256 << 20, "bytes of requests of all clients that are not complete, or not begun"
)
MAX_CONNECTIONS_PER_ADDRESS = Option(
    "ocpy:max connections per address",
    integer(0, 1_000_000),
    250,
    "connections at one time from one address, of the `ocpy:max connections`; 0: no limit of their own",
)
MAX_PRESENTATION_CONTEXTS = Option(
    "ocpy:max presentation contexts", integer(1, 10_000), 100, "interfaces that one connection may bind"
)
MAX_SECURITY_CONTEXTS = Option(
    "ocpy:max security contexts", integer(1, 10_000), 256, "logons that one connection may have beside each other"
)
MAX_CONTEXT_HANDLES = Option(
    "ocpy:max context handles", integer(1, 1_000_000), 1000, "context handles that one session may have open"
)
MAX_SESSIONS = Option(
    "ocpy:max sessions per account",
    integer(1, 1_000_000),
    64,
    "mailbox sessions that an account may have open as one user, over all its connections",
)
ACCOUNT_CHECK_INTERVAL = Option(
    "ocpy:account check interval",
    seconds,
    60.0,
    "how long an account that was disabled or removed can go on; the directory is asked so often of each that calls",
)
COMPRESS = Option("ocpy:compress", boolean, False, "compress responses to clients that allow it; slow in pure Python")
WORKERS = Option(
    "ocpy:workers",
    integer(1, 64),
    1,
    "processes that serve together, so that all of a machine's processors are used; limits are each one's",
)
WORKER_THREADS = Option("ocpy:worker threads", integer(1, 256), 8, "calls that local servers work on at one time")
RELAY_TIMEOUT = Option(
    "ocpy:relay timeout", seconds, 600.0, "a relayed call that takes longer is answered with a fault"
)
CONNECT_TIMEOUT = Option(
    "ocpy:connect timeout",
    seconds,
    30.0,
    "for connecting and authenticating to the server relayed to, and for a sign of life where it keeps a call waiting",
)


def _sqlite(settings: Settings, name: str) -> str:
    return f"sqlite:///{settings[DATA_DIRECTORY] / name}"


OPTIONS: tuple[Option[Any], ...] = tuple(value for value in globals().values() if isinstance(value, Option))
