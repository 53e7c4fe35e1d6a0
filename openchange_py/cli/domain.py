"""Who checks clients' credentials, as configured: the directory, passwords in LDAP, a domain controller, a keytab."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from openchange_py.addressbook.base import Directory
from openchange_py.auth.accounts import LocalAuthenticator, PasswordSource, stored_nt_hash
from openchange_py.auth.bearer import BearerTokens, Issuer, KeySet, check_source
from openchange_py.auth.channel_binding import ChannelBindings
from openchange_py.auth.delegation import DelegatedTickets
from openchange_py.auth.failures import FailureTracker, Patience
from openchange_py.auth.http import Bindings, Scheme, WebLogons
from openchange_py.auth.kerberos import KerberosAcceptor, KerberosUnavailable, Keytab, require_library
from openchange_py.auth.netlogon import MachineAccount, NetlogonVerifier, SecureChannel
from openchange_py.auth.ntlm import ServerNames
from openchange_py.auth.spnego import Mechanism
from openchange_py.cli.directory import in_ldap, ldap_servers
from openchange_py.cli.settings import first_line
from openchange_py.config import Option, Settings, declared
from openchange_py.config.options import ldap_urls
from openchange_py.config.routes import RelayAs, relay_as
from openchange_py.config.settings import world_readable
from openchange_py.rpc.security import AuthLevel, AuthType, SecurityContext
from openchange_py.transports.epmapper import EPMAPPER_PORT, ept_map
from openchange_py.transports.tcp_client import RpcClient
from openchange_py.wire.netlogon import NETLOGON

if TYPE_CHECKING:
    from openchange_py.auth.ldap_passwords import LdapPasswords

logger = logging.getLogger(__name__)

#: Seconds for each step toward a domain controller: a logon must not wait longer than its client does.
_CONTROLLER_SECONDS = 5.0


@dataclasses.dataclass(slots=True)
class Domain:
    """What a node's servers authenticate with. `strangers` lets anonymous clients in, too."""

    authenticator: LocalAuthenticator
    strangers: LocalAuthenticator
    failures: FailureTracker
    channel: SecureChannel | None
    passwords: LdapPasswords | None
    directory: Directory
    #: By authentication type, whom clients ask tickets for.
    principal_names: dict[int, str]

    @classmethod
    def of(cls, settings: Settings, directory: Directory) -> Domain:
        """As configured; `ConfigError` says what is missing. Called on the event loop that the channel will live on."""
        names = ServerNames(settings[declared.NETBIOS_NAME], settings[declared.FQDN], settings[declared.WORKGROUP])
        failures, channel = FailureTracker(patience(settings)), secure_channel(settings)
        pass_through = None
        if channel is not None:
            pass_through = NetlogonVerifier(channel, directory, failures, asyncio.get_running_loop())
        kerberos, passwords = kerberos_acceptor(settings, directory), password_directory(settings)

        def authenticator(allow_anonymous: bool) -> LocalAuthenticator:
            return LocalAuthenticator(
                directory,
                names,
                allow_anonymous=allow_anonymous,
                failures=failures,
                passwords=passwords,
                pass_through=pass_through,
                kerberos=kerberos,
            )

        principal = f"exchangeMDB/{settings[declared.FQDN]}"
        principals: dict[int, str] = dict.fromkeys((AuthType.KERBEROS, AuthType.SPNEGO) if kerberos else (), principal)
        return cls(authenticator(False), authenticator(True), failures, channel, passwords, directory, principals)

    def nt_hash_of(self, account: str) -> bytes | None:
        """See `stored_nt_hash`."""
        return stored_nt_hash(self.directory, self.passwords, account)

    def web_logons(self, settings: Settings) -> WebLogons:
        """What HTTP clients authenticate with; `ConfigError` says what is missing."""
        schemes = settings[declared.HTTP_AUTHENTICATION]
        return WebLogons(
            self.authenticator,
            [Scheme(name) for name in schemes],
            realm=settings[declared.FQDN],
            bearer=bearer_tokens(settings, self.directory, self.passwords),
            bindings=Bindings(settings[declared.CHANNEL_BINDING]),
        )

    async def close(self) -> None:
        """Close the connections to the domain controller and the password directory."""
        if self.passwords is not None:
            self.passwords.close()
        if self.channel is not None:
            await self.channel.close()


def bearer_tokens(settings: Settings, directory: Directory, passwords: PasswordSource | None) -> BearerTokens | None:
    """Whose tokens are taken; None where nobody's are."""
    if not settings[declared.OIDC_ISSUER]:
        return None
    needs: tuple[Option[Any], ...] = (declared.OIDC_AUDIENCE, declared.OIDC_KEYS)
    for needed in needs:
        if not settings[needed]:
            raise settings.error(declared.OIDC_ISSUER, f"it needs `{needed.name}`, {needed.help}")
    try:
        keys = KeySet(check_source(settings[declared.OIDC_KEYS]))
    except ValueError as error:
        raise settings.error(declared.OIDC_KEYS, str(error)) from error
    audiences: tuple[str, ...] = settings[declared.OIDC_AUDIENCE]
    claims: tuple[str, ...] = settings[declared.OIDC_CLAIM]
    issuer = Issuer(settings[declared.OIDC_ISSUER], audiences, claims, settings[declared.OIDC_AUTHORIZATION])
    return BearerTokens(issuer, keys, directory, settings[declared.WORKGROUP], passwords)


def patience(settings: Settings) -> Patience:
    """With clients that fail to log on."""
    return Patience(
        tolerated=settings[declared.LOGON_FAILURES],
        tolerated_accounts=settings[declared.LOGON_FAILURES_PER_ADDRESS],
        pause=settings[declared.LOGON_PAUSE],
        longest_pause=settings[declared.LONGEST_LOGON_PAUSE],
        memory=settings[declared.LOGON_FAILURE_MEMORY],
    )


def secure_channel(settings: Settings) -> SecureChannel | None:
    """The way to `ocpy:domain controller`, not connected yet; None where none is configured."""
    controllers = settings[declared.DOMAIN_CONTROLLER]
    if not controllers:
        return None
    file = settings[declared.MACHINE_PASSWORD_FILE]
    if file is None:
        raise settings.error(
            declared.MACHINE_PASSWORD_FILE,
            f"{declared.DOMAIN_CONTROLLER.name} needs it: a file, readable by the server alone, whose first line is "
            f"the password of the domain's computer account {settings[declared.MACHINE_ACCOUNT]}",
        )
    machine = MachineAccount(
        settings[declared.MACHINE_ACCOUNT],
        first_line(settings, declared.MACHINE_PASSWORD_FILE, file),
        settings[declared.WORKGROUP],
    )
    return SecureChannel(controllers, machine, connect_netlogon)


def password_directory(settings: Settings) -> LdapPasswords | None:
    """The LDAP directory of `ocpy:password directory`, not asked yet; None where none is configured.

    A directory in LDAP has the passwords too, where no domain controller is named that checks them.
    """
    option: Option[Any] = declared.PASSWORD_DIRECTORY
    urls: tuple[str, ...] = settings[declared.PASSWORD_DIRECTORY]
    if not urls and in_ldap(settings) and not settings[declared.DOMAIN_CONTROLLER] and settings[declared.LDAP_SUFFIX]:
        urls, option = ldap_urls(settings[declared.DIRECTORY]), declared.DIRECTORY
    if not urls:
        return None
    if not settings[declared.LDAP_SUFFIX]:
        raise settings.error(option, f"it needs `{declared.LDAP_SUFFIX.name}`, {declared.LDAP_SUFFIX.help}")
    # Imported only where it is used: nobody else waits for it.
    from openchange_py.auth.ldap_passwords import LdapPasswords

    return LdapPasswords(ldap_servers(settings, option, urls), settings[declared.WORKGROUP])


async def connect_netlogon(host: str, context: SecurityContext | None, level: AuthLevel) -> RpcClient:
    """A connection to a domain controller's Netlogon service, wherever its endpoint mapper says that is."""
    seconds = _CONTROLLER_SECONDS
    port = await ept_map(host, EPMAPPER_PORT, NETLOGON, connect_timeout=seconds)
    return await RpcClient.connect(
        host, port, NETLOGON, context=context, level=level, connect_timeout=seconds, call_timeout=seconds
    )


def kerberos_acceptor(
    settings: Settings, directory: Directory
) -> Callable[[str, ChannelBindings | None], Mechanism] | None:
    """Makes Kerberos acceptors with the keys of `ocpy:keytab`; None where none is configured."""
    path = settings[declared.KEYTAB]
    if path is None:
        return None
    realm, workgroup = settings[declared.REALM], settings[declared.WORKGROUP]
    if not realm:
        raise settings.error(
            declared.KEYTAB, f"Kerberos needs `{declared.REALM.name}`, the realm whose users may log on"
        )
    try:
        require_library()
    except KerberosUnavailable as error:
        raise settings.error(declared.KEYTAB, f"Kerberos can't be offered: {error}") from error
    try:
        keytab = Keytab(path)
    except KerberosUnavailable as error:
        raise settings.error(declared.KEYTAB, f"no usable keytab: {error}") from error
    if world_readable(path):
        logger.warning("%s: every user of this machine can read %s", declared.KEYTAB.name, path)
    delegated = DelegatedTickets.of if relay_as(settings) is RelayAs.CALLER else None
    return lambda peer, bindings: KerberosAcceptor(
        keytab, directory, realm, workgroup, peer, delegated=delegated, bindings=bindings
    )
