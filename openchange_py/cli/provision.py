"""`ocpy provision`: directory, organization and mailbox database, as smb.conf names them."""

from __future__ import annotations

from contextlib import closing

import click

from openchange_py.addressbook import migrate as directory_tables
from openchange_py.addressbook.base import Organization
from openchange_py.addressbook.source import open_directory
from openchange_py.cli.settings import with_settings
from openchange_py.config import ConfigError, Settings, declared
from openchange_py.store import migrate as mailbox_tables


@click.command("provision")
@click.option("--openchangedb", is_flag=True, help="The mailbox database alone: create it, or bring it up to date.")
@with_settings
def command(settings: Settings, openchangedb: bool) -> None:
    """Set up the directory, the Exchange organization in it, the mailbox database, and a certificate for HTTPS.

    All names come from smb.conf: `ocpy:directory`, `ocpy:database`, `ocpy:organization`, `ocpy:administrative group`,
    `netbios name`, `ocpy:tls certificate`, `ocpy:tls key`. Safe to repeat: what is there already is kept, what is older
    is brought up to date.
    """
    data = settings[declared.DATA_DIRECTORY]
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not openchangedb:
        provision_directory(settings)
        # Imported only here: cryptography's X.509 takes a while to load.
        from openchange_py.cli.certificate import provision_certificate

        click.echo(provision_certificate(settings))
    revision = mailbox_tables.upgrade(settings[declared.DATABASE])
    click.echo(f"Mailbox database {shown(settings[declared.DATABASE])}: revision {revision}")


def provision_directory(settings: Settings) -> None:
    """The directory's tables, and the organization in it."""
    url = settings[declared.DIRECTORY]
    organization = Organization(settings[declared.ORGANIZATION], settings[declared.ADMINISTRATIVE_GROUP])
    for option, name in (
        (declared.ORGANIZATION, organization.name),
        (declared.ADMINISTRATIVE_GROUP, organization.administrative_group),
    ):
        check_name(settings, option, name)
    directory_tables.upgrade(url)
    with closing(open_directory(url)) as directory:
        created = directory.provision(organization, settings[declared.NETBIOS_NAME])
    done = "created" if created else "there already"
    click.echo(f"Organization {organization.dn_prefix}: {done}, in {shown(url)}")


def check_name(settings: Settings, option: object, name: str) -> None:
    """A part of a legacyExchangeDN is printable ASCII without `/` and `=`."""
    if not name or not name.isascii() or not name.isprintable() or set("/=") & set(name):
        error: ConfigError = settings.error(option, f"{name!r}: letters, digits, spaces and punctuation but / and =")  # type: ignore[arg-type]
        raise error


def shown(url: str) -> str:
    """A database URL without its password."""
    from sqlalchemy.engine import make_url

    return make_url(url).render_as_string(hide_password=True)
