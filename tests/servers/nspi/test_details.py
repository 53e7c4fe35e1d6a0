"""NspiGetTemplateInfo, as a client uses it: fetch a template, and show an entry in it."""

import pytest

from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxnspi import (
    NspiGetPropsRequest,
    NspiGetSpecialTableRequest,
    NspiGetTemplateInfoRequest,
)
from openchange_py.wire.oxnspi_types import STAT
from openchange_py.wire.oxoabkt import Control, ControlType, Opcode, unpack_script, unpack_template
from tests.servers.nspi.conftest import Client, mid

USER, GROUP, AGENT, CONTACT, ROOM, SEARCH = 0, 1, 3, 6, 7, 0x200
TEMPLATE, SCRIPT, EMAIL_TYPE = 1, 4, 0x10


def template(client: Client, kind: int, locale_id: int = 0x409, code_page: int = 1252) -> list[Control]:
    response = client.ask(NspiGetTemplateInfoRequest, 0x61, kind, None, code_page, locale_id)
    assert response.return_value == 0
    (value,) = response.data.values
    assert value.prop_tag == p.PidTagTemplateData
    return unpack_template(value.value, lambda raw: raw.decode(f"cp{code_page}"))


def pages(controls: list[Control]) -> list[str]:
    return [control.text for control in controls if control.type == ControlType.PAGE]


def test_a_details_dialog_shows_what_the_entry_has(client: Client, directory: EmbeddedDirectory) -> None:
    """The properties that the dialog names are asked for as they stand in it, and are shown beside their labels."""
    controls = template(client, USER)
    tags = [control.tag for control in controls if control.type == ControlType.EDIT]
    row = client.ask(NspiGetPropsRequest, 0, STAT(current_rec=mid(directory, "alice")), tags).row
    labels = [controls[number - 1].text for number, control in enumerate(controls) if control.type == ControlType.EDIT]
    shown = {
        label: value.value for label, value in zip(labels, row.values, strict=True) if value.prop_tag & 0xFFFF != 0x000A
    }
    assert shown == {
        "Display": b"Alice Liddell",
        "Alias": b"alice",
        "Title": "Königin".encode("cp1252"),
        "Phone": b"123",
        "Business": b"123",
    }


@pytest.mark.parametrize(
    ("kind", "titles"),
    [
        (USER, ["General", "Organization", "Phone and notes", "Member of", "E-mail addresses"]),
        (GROUP, ["General", "Notes", "Member of", "E-mail addresses"]),
        (CONTACT, ["General", "Organization", "Phone and notes", "Member of", "E-mail addresses"]),
        (ROOM, ["General", "Organization", "Phone and notes", "Member of", "E-mail addresses", "Resource"]),
        (AGENT, ["General", "E-mail addresses"]),
        (SEARCH, ["Search"]),
    ],
)
def test_each_kind_of_object_has_its_dialog(client: Client, kind: int, titles: list[str]) -> None:
    assert pages(template(client, kind)) == titles


@pytest.mark.parametrize(
    ("locale_id", "title"),
    [
        (0x0409, "General"),
        (0x0809, "General"),  # English (United Kingdom)
        (0x0407, "Allgemein"),
        (0x0C07, "Allgemein"),  # German (Austria)
        (0x10407, "Allgemein"),  # German, phone book sort
        (0x040C, "Général"),
        (0x080A, "General"),  # Spanish (Mexico)
        (0x0411, "General"),  # Japanese, which there is not: English
        (0x0400, "General"),  # the user's default
    ],
)
def test_the_closest_language_is_chosen(client: Client, locale_id: int, title: str) -> None:
    assert pages(template(client, USER, locale_id))[0] == title


def test_a_language_that_a_code_page_cannot_express_becomes_english(client: Client) -> None:
    assert pages(template(client, USER, 0x040C, code_page=874)) == pages(template(client, USER))


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ((1, USER, None, 0x4B0, 0x409), ErrorCode.InvalidCodepage),
        ((1, USER, None, 4711, 0x409), ErrorCode.InvalidCodepage),
        ((1, 0x102, None, 1252, 0x409), ErrorCode.InvalidLocale),  # no dialog for that display type
        ((1, USER, None, 1252, 0x3FF), ErrorCode.InvalidLocale),
        ((1, USER, None, 1252, 0xFFFF0409), ErrorCode.InvalidLocale),
        ((1, USER, b"/o=nowhere", 1252, 0x409), ErrorCode.InvalidLocale),
        ((1, USER, b"", 1252, 0x409), ErrorCode.InvalidLocale),
        ((1, USER, b"\xff(*)", 1252, 0x409), ErrorCode.InvalidLocale),
    ],
)
def test_errors(client: Client, parameters: tuple[object, ...], error: ErrorCode) -> None:
    response = client.ask(NspiGetTemplateInfoRequest, *parameters)
    assert (response.data, response.return_value) == (None, error)


def test_an_address_is_made_with_the_template_that_the_special_table_names(client: Client) -> None:
    """[MS-OXOABKT] 3.1.4.1: the entry id's DN asks for it; display type and locale are ignored then."""
    row = client.ask(NspiGetSpecialTableRequest, 2, STAT(template_locale=0x407), 0).rows[0]
    entry_id = next(value.value for value in row.values if value.prop_tag == p.PidTagEntryId)
    dn = entry_id[28:-1]
    answers = [
        client.ask(NspiGetTemplateInfoRequest, TEMPLATE | SCRIPT | EMAIL_TYPE, kind, name, 1252, locale_id)
        for kind, name, locale_id in ((0, dn, 0x407), (4711, dn.upper(), 0xFFFFFFFF))
    ]
    assert answers[0] == answers[1]
    data, script, kind = (value.value for value in answers[0].data.values)
    assert [value.prop_tag for value in answers[0].data.values] == [0x00010102, 0x00040102, 0x3002001E]
    assert kind == b"SMTP"
    controls = unpack_template(data, lambda raw: raw.decode("cp1252"))
    assert [control.text for control in controls if control.type == ControlType.LABEL] == [
        "Anzeigename",
        "E-Mail-Adresse",
    ]
    name, address = (control for control in controls if control.type == ControlType.EDIT)
    assert name.flags == address.flags == 6  # to be filled in
    assert unpack_script(script) == [(Opcode.EMIT_PROPERTY, address.tag), (Opcode.HALT,)]


def test_a_details_dialog_has_a_name_as_well_and_no_script(client: Client, directory: EmbeddedDirectory) -> None:
    dn = f"/o={directory.organization().name}/cn=Configuration/cn=Addressing/cn=Display-Templates/cn=409/cn=200"
    response = client.ask(NspiGetTemplateInfoRequest, TEMPLATE | SCRIPT | EMAIL_TYPE, 0, dn.encode(), 1252, 0)
    (value,) = response.data.values
    assert value.prop_tag == p.PidTagTemplateData
    assert client.ask(NspiGetTemplateInfoRequest, 0, 0, None, 1252, 0x409).data.values == []
