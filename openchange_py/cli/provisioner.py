"""The directory that `ocpy provision` prepares, as smb.conf names it."""

from __future__ import annotations

from typing import Any

from openchange_py.addressbook.provisioning import Provisioner, Wanted
from openchange_py.cli.directory import in_ldap, ldap_servers
from openchange_py.config import ConfigError, Option, Settings, declared
from openchange_py.config.options import ldap_urls


def open_provisioner(settings: Settings, wanted: Wanted, bind: tuple[str, str] | None = None) -> Provisioner:
    """`bind`: LDAP servers are asked with that name and password, in place of the configured ones."""
    url = settings[declared.DIRECTORY]
    if not in_ldap(settings):
        if bind is not None:
            raise settings.error(declared.DIRECTORY, "it is no LDAP server: --bind-dn is of no use")
        # Each imports what the other has no need of.
        from openchange_py.addressbook.provisioning_embedded import EmbeddedProvisioner

        return EmbeddedProvisioner(url, wanted)
    from openchange_py.addressbook.ldap.connection import connect
    from openchange_py.addressbook.ldap.session import STEP_SECONDS, Session
    from openchange_py.addressbook.provisioning_ldap import LdapProvisioner

    servers = ldap_servers(settings, declared.DIRECTORY, ldap_urls(url), bind)
    return LdapProvisioner(Session(connect(servers, STEP_SECONDS)), wanted)


def check_name(settings: Settings, option: Option[Any], name: str) -> None:
    """A part of a legacyExchangeDN is printable ASCII without `/` and `=`."""
    if not name or not name.isascii() or not name.isprintable() or set("/=") & set(name):
        error: ConfigError = settings.error(option, f"{name!r}: letters, digits, spaces and punctuation but / and =")
        raise error


def shown(url: str) -> str:
    """A directory's or database's URL without its password."""
    if url.partition("://")[0].casefold() in ("ldap", "ldaps", "ldapi"):
        return url  # it has none
    from sqlalchemy.engine import make_url

    return make_url(url).render_as_string(hide_password=True)
