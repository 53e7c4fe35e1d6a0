"""Templates for a client's dialogs: NspiGetTemplateInfo ([MS-OXNSPI] 3.1.4.1.18, [MS-OXOABKT] 2.2.2).

A template is chosen by display type and the language closest to a locale, or named by a DN that the table of address
creation templates tells. There are no help files: a client that asks for one gets the rest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from openchange_py.addressbook.base import Organization
from openchange_py.servers.nspi import codepages
from openchange_py.servers.nspi.properties import AddressBook
from openchange_py.servers.nspi.registry import method
from openchange_py.servers.nspi.templates.declared import ADDRESS_TEMPLATES, DETAILS, AddressTemplate
from openchange_py.servers.nspi.templates.layout import Page, controls
from openchange_py.servers.nspi.templates.texts import ENGLISH, LANGUAGES, Language, closest
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import PropertyType
from openchange_py.wire.oxnspi import NspiGetTemplateInfoRequest, NspiGetTemplateInfoResponse
from openchange_py.wire.oxnspi_types import PropertyRow_r, PropertyValue_r
from openchange_py.wire.oxoabkt import pack_script, pack_template

#: dwFlags: [MS-OXNSPI] 2.2.1.16.
TI_TEMPLATE: Final = 0x00000001
TI_SCRIPT: Final = 0x00000004
TI_EMT: Final = 0x00000010


@method(NspiGetTemplateInfoRequest, lambda _request, code: NspiGetTemplateInfoResponse(None, code))
def get_template_info(book: AddressBook, request: NspiGetTemplateInfoRequest) -> NspiGetTemplateInfoResponse:
    """3.1.4.1.18: InvalidCodepage; InvalidLocale where there is no such template."""
    encoding = codepages.codec(request.code_page)
    template, values = _template(book, request), []
    if request.flags & TI_TEMPLATE:
        data = template_data(template.pages, template.language, encoding)
        values.append(PropertyValue_r(proptags.PidTagTemplateData, data))
    if request.flags & TI_SCRIPT and template.address:
        values.append(PropertyValue_r(proptags.PidTagScriptData, pack_script(template.address.script)))
    if request.flags & TI_EMT and template.address:
        kind = proptags.PidTagAddressType.with_type(PropertyType.String8)
        values.append(PropertyValue_r(kind, codepages.encode(template.address.address_type, request.code_page)))
    return NspiGetTemplateInfoResponse(PropertyRow_r(values), ErrorCode.Success)


@dataclasses.dataclass(frozen=True, slots=True)
class Template:
    """A dialog in a language, and the kind of address that it makes."""

    pages: tuple[Page, ...]
    language: Language
    address: AddressTemplate | None = None


def _template(book: AddressBook, request: NspiGetTemplateInfoRequest) -> Template:
    """The one that was asked for; display type and locale count only without a DN."""
    if request.dn is not None:
        wanted = request.dn.decode("ascii", "replace").casefold()
        for dn, template in _named(book.lists.organization):
            if dn.casefold() == wanted:
                return template
        raise MapiError(ErrorCode.InvalidLocale, f"no template {wanted}")
    language, pages = closest(request.locale_id), DETAILS.get(request.type)
    if language is None or pages is None:
        raise MapiError(
            ErrorCode.InvalidLocale, f"no template of type 0x{request.type:X} for locale 0x{request.locale_id:X}"
        )
    return Template(pages, language)


def _named(organization: Organization) -> Iterator[tuple[str, Template]]:
    """Every template of the organization with its distinguished name."""
    for language in LANGUAGES:
        for template in ADDRESS_TEMPLATES:
            dn = address_template_dn(organization, language, template)
            yield dn, Template(template.pages, language, template)
        for display_type, pages in DETAILS.items():
            yield _dn(organization, "Display-Templates", language, f"{display_type:X}"), Template(pages, language)


def address_template_dn(organization: Organization, language: Language, template: AddressTemplate) -> str:
    """The distinguished name that asks for an address creation template."""
    return _dn(organization, "Address-Templates", language, template.address_type)


def _dn(organization: Organization, container: str, language: Language, name: str) -> str:
    addressing = f"{organization.dn}/cn=Configuration/cn=Addressing"
    return f"{addressing}/cn={container}/cn={language.locale_id:X}/cn={name}"


@lru_cache(maxsize=128)
def template_data(pages: tuple[Page, ...], language: Language, encoding: str) -> bytes:
    """PidTagTemplateData in a code page; in English where the language cannot be written in it."""
    try:
        return pack_template(controls(pages, language.text), lambda text: text.encode(encoding))
    except UnicodeEncodeError:
        return pack_template(controls(pages, ENGLISH.text), lambda text: text.encode(encoding, "replace"))
