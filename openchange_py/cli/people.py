"""What the commands about people, groups and contacts have in common: their options, and reading them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from openchange_py.addressbook.administration import Changes, Recipients
from openchange_py.addressbook.attributes import ATTRIBUTES
from openchange_py.addressbook.base import AttributeValue, Directory, DirectoryError, Entry
from openchange_py.cli.directory import open_directory, up_to_date
from openchange_py.config import Settings, declared
from openchange_py.wire.oxcdata.properties import PropertyType

F = TypeVar("F", bound=Callable[..., Any])

_MAIL: Final = re.compile(r"[^\s@<>\"(),:;\\\[\]/]+@[^\s@<>\"(),:;\\\[\]/]+")
#: Addresses that say of what type they are: a former distinguished name, by which old mail is answered, and X.400's.
_OTHER_ADDRESS: Final = re.compile(r"(?i:X500:/o=|X400:C=)[\x20-\x7e]{1,1000}")
_ALIAS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: Bytes: Active Directory's limit on thumbnailPhoto.
_LARGEST_PHOTO: Final = 100 * 1024

#: Options for what the address book shows of everybody, in the order of `--help`: name, attribute, what it is.
DETAILS: Final = (
    ("display-name", "displayName", "The name that the address book shows; default: the name given."),
    ("given-name", "givenName", "First name."),
    ("surname", "sn", "Last name."),
    ("initials", "initials", "Initials."),
    ("title", "title", "Job title."),
    ("company", "company", "Company."),
    ("department", "department", "Department."),
    ("office", "physicalDeliveryOfficeName", "Office."),
    ("phone", "telephoneNumber", "Business telephone number."),
    ("mobile", "mobile", "Mobile telephone number."),
    ("home-phone", "homePhone", "Home telephone number."),
    ("fax", "facsimileTelephoneNumber", "Fax number."),
    ("notes", "info", "Notes."),
)

#: Attributes that have options or commands of their own, or are the directory's own business.
_NOT_SET: Final = frozenset(
    {"cn", "proxyaddresses", "targetaddress", "whencreated", "whenchanged", "msexchrecipientdisplaytype", "mail"}
)
#: By folded name: what --set takes. Attributes of bytes have options of their own, or none.
SETTABLE: Final = {
    attribute.casefold(): (attribute, PropertyType(tag.type))
    for tag, attribute in ATTRIBUTES
    if attribute.casefold() not in _NOT_SET
    and tag.type not in (PropertyType.Binary, PropertyType.MultipleBinary, PropertyType.Object)
}


def check_mail(address: str | None) -> None:
    """A usage error for what is no mail address."""
    if address is not None and not _MAIL.fullmatch(address):
        raise click.BadParameter(f"{address!r} is no mail address", param_hint="--mail")


def check_alias(name: str, what: str) -> None:
    """A name that becomes part of a distinguished name and, where none is given, of a mail address."""
    if not _ALIAS.fullmatch(name):
        raise click.BadParameter(f"{name!r}: letters, digits, dots, hyphens and underscores", param_hint=what)


def detail_options(function: F) -> F:
    """Options for mail addresses and what the address book shows."""
    options = [
        click.option("--mail", metavar="ADDRESS", help="The primary mail address."),
        click.option(
            "--add-address", metavar="ADDRESS", multiple=True, help="Also a mail address, X500:/o=... or X400:C=..."
        ),
        click.option("--remove-address", metavar="ADDRESS", multiple=True, help="An address less."),
        *(click.option(f"--{name}", metavar="TEXT", help=text) for name, _, text in DETAILS),
        click.option("--hidden/--listed", default=None, help="Leave it out of the address lists, or show it in them."),
        click.option("--photo", metavar="FILE", type=click.Path(exists=True, dir_okay=False), help="A JPEG picture."),
        click.option(
            "--set",
            "assignments",
            metavar="ATTRIBUTE=VALUE",
            multiple=True,
            help="Any other attribute of the address book by its LDAP name; several times for several values.",
        ),
        click.option("--clear", metavar="ATTRIBUTE", multiple=True, help="Remove an attribute."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def changes_of(
    given: Mapping[str, Any],
    links: Mapping[str, tuple[Sequence[str], Sequence[str]]],
    cleared_links: Sequence[str] = (),
) -> Changes:
    """What the options, or the cells of a CSV file, change; a usage error for attributes that there are not."""
    attributes: dict[str, Sequence[AttributeValue] | None] = {}
    for option, attribute, _ in DETAILS:
        value = given.get(option.replace("-", "_"))
        if value is not None:
            attributes[attribute] = [value] if value else None
    if given.get("hidden") is not None:
        attributes["msExchHideFromAddressLists"] = ["TRUE" if given["hidden"] else "FALSE"]
    if given.get("photo"):
        attributes["thumbnailPhoto"] = [_photo(Path(given["photo"]))]
    attributes |= _assigned(given.get("assignments") or (), given.get("clear") or ())
    mail, more, less = given.get("mail"), given.get("add_address") or (), given.get("remove_address") or ()
    check_mail(mail)
    for address in (*more, *less):
        if not _OTHER_ADDRESS.fullmatch(address):
            check_mail(address)
    return Changes(attributes, mail, more, less, links, cleared_links)


def _photo(path: Path) -> bytes:
    with path.open("rb") as file:
        picture = file.read(_LARGEST_PHOTO + 1)
    if len(picture) > _LARGEST_PHOTO:
        raise click.BadParameter(f"{path}: a picture has {_LARGEST_PHOTO // 1024} KiB at most", param_hint="--photo")
    if not picture.startswith(b"\xff\xd8\xff"):
        raise click.BadParameter(f"{path} is no JPEG picture", param_hint="--photo")
    return picture


def _assigned(assignments: Sequence[str], cleared: Sequence[str]) -> dict[str, Sequence[AttributeValue] | None]:
    attributes: dict[str, list[AttributeValue]] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not value:
            raise click.BadParameter(f"{assignment!r}: ATTRIBUTE=VALUE is needed", param_hint="--set")
        attribute, kind = _settable(name, "--set")
        if kind == PropertyType.Integer32 and not re.fullmatch(r"-?[0-9]{1,10}", value):
            raise click.BadParameter(f"{attribute} is a number, not {value!r}", param_hint="--set")
        attributes.setdefault(attribute, []).append(value)
        if len(attributes[attribute]) > 1 and kind != PropertyType.MultipleString:
            raise click.BadParameter(f"{attribute} has one value", param_hint="--set")
    return {**attributes, **{_settable(name, "--clear")[0]: None for name in cleared}}


def _settable(name: str, option: str) -> tuple[str, PropertyType]:
    known = SETTABLE.get(name.strip().casefold())
    if known is None:
        listed = ", ".join(sorted((attribute for attribute, _ in SETTABLE.values()), key=str.casefold))
        raise click.BadParameter(f"{name!r} is none of {listed}", param_hint=option)
    return known


def directory_of(settings: Settings) -> Directory:
    """The configured directory, which is closed when the command ends."""
    return click.get_current_context().with_resource(closing(up_to_date(open_directory(settings))))


def recipients_of(settings: Settings, directory: Directory) -> Recipients:
    """The recipients of this server's organization."""
    return Recipients(directory, settings[declared.NETBIOS_NAME], settings[declared.MAIL_DOMAIN])


class Performer:
    """What is done to one recipient after the other: a method `_ACTION` for each action of the command."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @functools.cached_property
    def _directory(self) -> Directory:
        return directory_of(self._settings)

    @functools.cached_property
    def _recipients(self) -> Recipients:
        return recipients_of(self._settings, self._directory)

    def perform(self, actions: Sequence[str], name: str, given: Mapping[str, Any]) -> list[str]:
        """What was done, in lines for people."""
        return [getattr(self, f"_{action}")(name, given) for action in actions]


def existing(directory: Directory, user: str) -> Entry:
    """The account's entry; an error that says what to do where there is none."""
    entry = directory.by_account(user)
    if entry is None:
        raise DirectoryError(f"there is no account {user}: `ocpy newuser --create {user}` makes it")
    return entry


def shown(entry: Entry) -> str:
    """An entry in a line that is read by people."""
    address = entry.smtp_address
    return f"{entry.display_name} <{address}>" if address else entry.display_name


def one_action(given: Mapping[str, Any], actions: Sequence[str], together: Sequence[str] = ()) -> list[str]:
    """The actions that were asked for, one save for those that go together; a usage error otherwise."""
    asked = [name for name in actions if given[name]]
    if len(asked) > 1 and asked != list(together):
        both = f"only --{' and --'.join(together)} go together" if together else "one of them at a time"
        raise click.UsageError(f"{both}: {', '.join(f'--{name}' for name in asked)}")
    return asked


def described(entry: Entry, **more: Any) -> dict[str, Any]:
    """An entry as scripts read it."""
    return {
        "name": entry.account or entry.first("mailNickname"),
        "display_name": entry.display_name,
        "mail": entry.smtp_address,
        "legacy_exchange_dn": entry.legacy_exchange_dn,
        "addresses": entry.all("proxyAddresses"),
        "hidden": entry.is_hidden,
        **more,
    }
