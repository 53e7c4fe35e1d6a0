"""Opens the directory that the configuration names: the embedded one, or LDAP servers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from openchange_py.addressbook import migrate
from openchange_py.addressbook import source as embedded
from openchange_py.addressbook.base import Directory, DirectoryError
from openchange_py.cli.settings import first_line
from openchange_py.config import Option, Settings, declared
from openchange_py.config.declared import LdapSasl, LdapTls
from openchange_py.config.options import ldap_urls

if TYPE_CHECKING:
    from openchange_py.addressbook.ldap.connection import ExternalBind, KerberosBind, LdapServers

logger = logging.getLogger(__name__)

_LDAP_SCHEMES = ("ldap", "ldaps", "ldapi")


def in_ldap(settings: Settings) -> bool:
    """Whether the directory is in LDAP."""
    return settings[declared.DIRECTORY].partition("://")[0].casefold() in _LDAP_SCHEMES


def open_directory(settings: Settings) -> Directory:
    """`ocpy:directory`; `ConfigError` or `DirectoryError` says what is wrong. One in LDAP need not answer."""
    url, organization = settings[declared.DIRECTORY], settings[declared.ORGANIZATION]
    if not in_ldap(settings):
        return embedded.open_directory(url, organization)
    from openchange_py.addressbook.ldap.directory import LdapDirectory

    index = settings[declared.DIRECTORY_INDEX]
    migrate.upgrade(index)
    servers = ldap_servers(settings, declared.DIRECTORY, ldap_urls(url))
    place, lag = settings[declared.USER_CONTAINER], settings[declared.DIRECTORY_LAG]
    return LdapDirectory(servers, index, organization, place=place, lag=lag)


def up_to_date(directory: Directory) -> Directory:
    """With what others changed at its server; a server that is away is said, and what is known is known."""
    try:
        directory.catch_up()
    except DirectoryError as error:
        if directory.status().last_contact is None:
            raise
        click.echo(f"ocpy: warning: the directory does not answer, this is what it said before: {error}", err=True)
    return directory


def ldap_servers(
    settings: Settings, option: Option[Any], urls: Sequence[str], bind: tuple[str, str] | None = None
) -> LdapServers:
    """The servers that `option` names, and how we bind to them; `ConfigError` says what is missing.

    `bind`: a name and its password, in place of the configured ones.
    """
    # Imported only where it is used: nobody else waits for ldap3.
    from openchange_py.addressbook.ldap.connection import LdapServers

    ca_file, start_tls = settings[declared.LDAP_CA_FILE], settings[declared.LDAP_SSL] is LdapTls.START_TLS
    if ca_file is not None and not ca_file.is_file():
        raise settings.error(declared.LDAP_CA_FILE, f"{ca_file} is no file")
    for url in urls:
        if not start_tls and urlsplit(url).scheme == "ldap":
            logger.warning("%s: passwords of %s are read without encryption", declared.LDAP_SSL.name, url)
    base, sasl = settings[declared.LDAP_SUFFIX], None if bind else _sasl(settings)
    bind_dn, password = bind or ("", "")
    if bind is None and sasl is None:
        bind_dn, password = _simple_bind(settings, option)
    return LdapServers(urls, base, bind_dn, password, start_tls, ca_file, sasl)


def _simple_bind(settings: Settings, option: Option[Any]) -> tuple[str, str]:
    needs: tuple[Option[Any], ...] = (declared.LDAP_ADMIN_DN, declared.LDAP_PASSWORD_FILE)
    for needed in needs:
        if not settings[needed]:
            raise settings.error(option, f"it needs `{needed.name}`, {needed.help}")
    file = settings[declared.LDAP_PASSWORD_FILE]
    assert file is not None
    return settings[declared.LDAP_ADMIN_DN], first_line(settings, declared.LDAP_PASSWORD_FILE, file)


def _sasl(settings: Settings) -> KerberosBind | ExternalBind | None:
    from openchange_py.addressbook.ldap.connection import ExternalBind, KerberosBind

    match settings[declared.LDAP_SASL]:
        case LdapSasl.EXTERNAL:
            return ExternalBind()
        case LdapSasl.GSSAPI:
            keytab = settings[declared.LDAP_KEYTAB]
            if keytab is not None and not keytab.is_file():
                raise settings.error(declared.LDAP_KEYTAB, f"{keytab} is no file")
            return KerberosBind(settings[declared.LDAP_PRINCIPAL], keytab)
        case _:
            return None
