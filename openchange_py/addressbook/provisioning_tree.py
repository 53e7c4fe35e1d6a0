"""What Exchange keeps in a directory's configuration: an organization, its address lists and templates, its servers.

The names and classes are Exchange's, so that tools which know an organization of its find their way in this one. Active
Directory has the tree in its configuration partition, OpenLDAP below its base; it is the same one.
Not done: what only Exchange's own services read (routing groups, policies, recipient update services, protocols), and
a `CN=Microsoft DSA`, which Exchange 5.5 had.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from openchange_py.addressbook.address_lists import ADDRESS_LISTS, GLOBAL_ADDRESS_LIST
from openchange_py.addressbook.base import Organization
from openchange_py.addressbook.ldap.session import Session, escape_name
from openchange_py.addressbook.provisioning import Step, Wanted
from openchange_py.addressbook.provisioning_steps import EntryStep, ValuesStep, unescaped

ORGANIZATION, LISTS, ADDRESSING = "Organization", "Address lists", "Addressing"
ADMINISTRATIVE_GROUP, SERVER = "Administrative group", "Server"

#: What `EcDoConnectEx` tells clients: Exchange 2010. As its servers write it: the build counts from 30000, and
#: versionNumber is 4 bits of flags, 6 of major and 6 of minor version, one more flag, and 15 bits of the build.
_MAJOR, _MINOR, _BUILD = 14, 0, 722
_SERIAL_NUMBER: Final = f"Version {_MAJOR}.{_MINOR} (Build {30000 + _BUILD}.0)"
_VERSION_NUMBER: Final = 0x7000_8000 | _MAJOR << 22 | _MINOR << 16 | _BUILD

#: Locales that details dialogs come in, by their hexadecimal identifier ([MS-LCID]), as Exchange names its containers.
_LOCALES: Final = {"407": "German", "409": "English", "40a": "Spanish", "40c": "French"}
#: By display type ([MS-OXNSPI] 2.2.1.3) what a details dialog shows.
_DISPLAY_TEMPLATES: Final = {"0": "User", "1": "Group", "2": "Public Folder", "6": "Contact", "200": "Search Dialog"}
#: Kinds of address that a one-off address can have.
_ADDRESS_TEMPLATES: Final = ("EX", "SMTP", "X400")

_CONTAINER: Final = ("top", "container")
_EXCHANGE_CONTAINER: Final = (*_CONTAINER, "msExchContainer")
_LIST: Final = ("top", "addressBookContainer")


def below(parent: str, *names: str) -> str:
    """The distinguished name of an entry below another, by the common names on the way."""
    return ",".join([*(f"CN={escape_name(name)}" for name in reversed(names)), parent])


def common_name(dn: str) -> str:
    """How an entry is called, for a person."""
    return unescaped(dn.partition(",")[0].partition("=")[2])


def exchange_dn(configuration: str) -> str:
    """Where Exchange's settings are in a configuration."""
    return below(configuration, "Services", "Microsoft Exchange")


class Tree:
    """Steps for one organization and one of its servers, below the configuration's distinguished name."""

    def __init__(self, session: Session, configuration: str, wanted: Wanted) -> None:
        self._session = session
        self._wanted = wanted
        self._configuration = configuration
        self.exchange = exchange_dn(configuration)
        self.organization = below(self.exchange, wanted.organization.name)
        self.group = below(self.organization, "Administrative Groups", wanted.organization.administrative_group)
        self.server = below(self.group, "Servers", wanted.server)

    @property
    def _names(self) -> Organization:
        return self._wanted.organization

    def _entry(
        self, group: str, dn: str, classes: Sequence[str], attributes: Mapping[str, Sequence[str]] | None = None
    ) -> EntryStep:
        return EntryStep(self._session, group, common_name(dn), dn, classes, attributes or {})

    def configuration_steps(self) -> Iterator[Step]:
        """The places that Active Directory has from the start, for a directory that has them not."""
        yield self._entry(ORGANIZATION, self._configuration, _CONTAINER)
        yield self._entry(ORGANIZATION, below(self._configuration, "Services"), _CONTAINER)

    def organization_steps(self) -> Iterator[Step]:
        """The organization with its address lists and addressing containers."""
        yield self._entry(ORGANIZATION, self.exchange, (*_CONTAINER, "msExchConfigurationContainer"))
        yield self._entry(
            ORGANIZATION,
            self.organization,
            (*_CONTAINER, "msExchOrganizationContainer"),
            {
                "legacyExchangeDN": [f"/o={self._names.name}"],
                "msExchAdminGroupsEnabled": ["TRUE"],
                "msExchMixedMode": ["FALSE"],
            },
        )
        yield from self._lists()
        yield from self._addressing()
        # Behind what they name: Active Directory takes no link to what is not there.
        yield self._roots()

    @property
    def _lists_dn(self) -> str:
        return below(self.organization, "Address Lists Container")

    def _roots(self) -> ValuesStep:
        roots = {
            "globalAddressList": [below(self._lists_dn, "All Global Address Lists", GLOBAL_ADDRESS_LIST.name)],
            "addressBookRoots": [below(self._lists_dn, "All Address Lists")],
            "templateRoots": [below(self.organization, "Addressing")],
        }
        # The links that Windows Server 2008 has beside the attributes without them; readers take either.
        roots |= {f"{name}2": values for name, values in roots.items()}
        return ValuesStep(self._session, LISTS, "Roots of the address book", self.exchange, roots)

    def _lists(self) -> Iterator[Step]:
        lists = self._lists_dn
        every, global_ = below(lists, "All Address Lists"), below(lists, "All Global Address Lists")
        yield self._shown(lists, _EXCHANGE_CONTAINER, "Address Lists Container")
        yield self._shown(every, _LIST, "All Address Lists")
        for one in ADDRESS_LISTS:
            yield self._shown(below(every, one.name), _LIST, one.name, {"purportedSearch": [one.search]})
        yield self._shown(global_, _LIST, "All Global Address Lists")
        default = below(global_, GLOBAL_ADDRESS_LIST.name)
        search = {"purportedSearch": [GLOBAL_ADDRESS_LIST.search]}
        yield self._shown(default, _LIST, GLOBAL_ADDRESS_LIST.name, search)
        yield self._shown(below(lists, "Offline Address Lists"), _EXCHANGE_CONTAINER, "Offline Address Lists")

    def _shown(
        self, dn: str, classes: Sequence[str], name: str, more: Mapping[str, Sequence[str]] | None = None
    ) -> EntryStep:
        return self._entry(LISTS, dn, classes, {"displayName": [name], **(more or {})})

    def _addressing(self) -> Iterator[Step]:
        top = below(self.organization, "Addressing")
        legacy = f"/o={self._names.name}/cn=Configuration/cn=Addressing"
        yield self._numbered(top, 16, {"legacyExchangeDN": [legacy]})
        addresses, displays = below(top, "Address-Templates"), below(top, "Display-Templates")
        for dn, number, name in ((addresses, 32, "Address-Templates"), (displays, 64, "Display-Templates")):
            names = {"legacyExchangeDN": [f"{legacy}/cn={name}"], "msExchTemplateRDNs": [*_LOCALES]}
            yield self._numbered(dn, number, names)
        yield self._numbered(below(top, "Address-Types"), 128, {})
        for locale, language in _LOCALES.items():
            kinds = {"displayName": [language], "msExchTemplateRDNs": [*_ADDRESS_TEMPLATES]}
            yield self._entry(ADDRESSING, below(addresses, locale), _CONTAINER, kinds)
            yield self._entry(ADDRESSING, below(displays, locale), _CONTAINER, {"displayName": [language]})
            for number_, title in _DISPLAY_TEMPLATES.items():
                dn = below(displays, locale, number_)
                yield self._entry(ADDRESSING, dn, ("top", "displayTemplate"), {"displayName": [title]})

    def _numbered(self, dn: str, number: int, attributes: Mapping[str, Sequence[str]]) -> EntryStep:
        return self._entry(ADDRESSING, dn, _EXCHANGE_CONTAINER, {"containerInfo": [str(number)], **attributes})

    def group_steps(self) -> Iterator[Step]:
        """The administrative group with its place for servers, and the hierarchy of public folders."""
        groups = below(self.organization, "Administrative Groups")
        yield self._in_group(groups, (*_CONTAINER, "msExchAdminGroupContainer"), {})
        names = {"displayName": [self._names.administrative_group], "legacyExchangeDN": [self._names.dn_prefix]}
        yield self._in_group(self.group, ("top", "msExchAdminGroup"), {**names, "msExchAdminGroupMode": ["0"]})
        servers = below(self.group, "Servers")
        yield self._in_group(servers, (*_CONTAINER, "msExchServersContainer"), {"containerInfo": ["8"]})
        hierarchies = below(self.group, "Folder Hierarchies")
        yield self._in_group(hierarchies, (*_CONTAINER, "msExchPublicFolderTreeContainer"), {})
        # The one hierarchy that MAPI clients see (1).
        tree = {"displayName": ["Public Folders"], "msExchPFTreeType": ["1"]}
        yield self._in_group(self._public_folders, ("top", "msExchPFTree"), tree)

    @property
    def _public_folders(self) -> str:
        return below(self.group, "Folder Hierarchies", "Public Folders")

    def _in_group(self, dn: str, classes: Sequence[str], attributes: Mapping[str, Sequence[str]]) -> EntryStep:
        return self._entry(ADMINISTRATIVE_GROUP, dn, classes, attributes)

    def server_steps(self) -> Iterator[Step]:
        """The server with its stores and agents."""
        name, legacy = self._wanted.server, self._names.server_dn(self._wanted.server)
        yield self._entry(
            SERVER,
            self.server,
            ("top", "server", "msExchExchangeServer"),
            {
                "legacyExchangeDN": [legacy],
                "networkAddress": list(network_addresses(name, self._wanted.host)),
                "serialNumber": [_SERIAL_NUMBER],
                "versionNumber": [str(_VERSION_NUMBER)],
                "messageTrackingEnabled": ["FALSE"],
            },
        )
        store = below(self.server, "InformationStore")
        storage = below(store, "First Storage Group")
        yield self._entry(SERVER, store, (*_CONTAINER, "msExchInformationStore"))
        yield self._entry(SERVER, storage, (*_CONTAINER, "msExchStorageGroup"))
        yield from self.stores()
        agents = {"legacyExchangeDN": [f"{legacy}/cn=Microsoft MTA"], "mTALocalDesig": [name[:32]]}
        agents |= {"transRetryMins": ["5"], "transTimeoutMins": ["20"]}
        yield self._entry(SERVER, below(self.server, "Microsoft MTA"), ("top", "mTA"), agents)
        attendant = {"legacyExchangeDN": [f"{legacy}/cn=Microsoft System Attendant"], "deliveryMechanism": ["2"]}
        dn = below(self.server, "Microsoft System Attendant")
        yield self._entry(SERVER, dn, ("top", "exchangeAdminService"), attendant)

    def stores(self) -> Iterator[EntryStep]:
        """The databases of the server: public folders, mailboxes."""
        name, legacy = self._wanted.server, self._names.server_dn(self._wanted.server)
        storage = below(self.server, "InformationStore", "First Storage Group")
        public, private = f"Public Folder Store ({name})", f"Mailbox Store ({name})"
        both = {"deliveryMechanism": ["1"], "msExchOwningServer": [self.server]}
        yield self._entry(
            SERVER,
            below(storage, public),
            ("top", "msExchMDB", "msExchPublicMDB"),
            {
                **both,
                "displayName": [public],
                "legacyExchangeDN": [f"{legacy}/cn=Microsoft Public MDB"],
                "msExchOwningPFTree": [self._public_folders],
            },
        )
        yield self._entry(
            SERVER,
            below(storage, private),
            ("top", "msExchMDB", "msExchPrivateMDB"),
            {
                **both,
                "displayName": [private],
                "legacyExchangeDN": [f"{legacy}/cn=Microsoft Private MDB"],
                "msExchHomePublicMDB": [below(storage, public)],
            },
        )


def network_addresses(server: str, host: str) -> Iterator[str]:
    """How a server is reached; Autodiscover leads clients of other servers to the host of `ncacn_ip_tcp`."""
    yield f"ncacn_ip_tcp:{host}"
    yield f"ncacn_np:{server}"
    yield f"netbios:{server}"
