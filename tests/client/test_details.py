"""The details dialog of a server, filled in; and those of servers whose templates are strange."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from openchange_py.addressbook.base import Kind
from openchange_py.client import details as module
from openchange_py.client.details import Box, Field, Page, details
from openchange_py.client.errors import ClientError, NoSuchName
from openchange_py.client.nspi import NspiClient
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxnspi import (
    NSPI,
    NspiDNToMIdResponse,
    NspiGetMatchesResponse,
    NspiGetPropsResponse,
    NspiGetTemplateInfoResponse,
    NspiResolveNamesWResponse,
)
from openchange_py.wire.oxnspi_types import STAT, PropertyRow_r, PropertyValue_r
from openchange_py.wire.oxoabkt import Control, ControlType, pack_template
from tests.client.scripted import ScriptedChannel
from tests.node import RunningNode, node_in_thread

PREFIX = "/o=First Organization/ou=First Administrative Group/cn=Recipients/cn="


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """Alice, Bob, and a group of both."""
    with node_in_thread(tmp_path_factory.mktemp("node")) as running:
        group: dict[str, list[str | bytes]] = {
            "displayName": ["Staff"],
            "mailNickname": ["staff"],
            "legacyExchangeDN": [f"{PREFIX}staff"],
            "info": ["All who\nwork here"],
        }
        members = [f"{PREFIX}alice", f"{PREFIX}bob"]
        running.directory.create(Kind.GROUP, "staff", group, {"member": members})
        yield running


def dialog(node: RunningNode, name: str, locale_id: int) -> list[Page]:
    async def work() -> list[Page]:
        channel = await node.connector().connect(NSPI)
        try:
            nspi = NspiClient(channel)
            await nspi.bind()
            return await details(nspi, name, locale_id)
        finally:
            await channel.close()

    return asyncio.run(work())


def shown(pages: list[Page]) -> dict[tuple[str, str, str], list[str]]:
    return {
        (page.title, box.title, field.label): field.lines
        for page in pages
        for box in page.boxes
        for field in box.fields
        if field.lines
    }


def test_a_group_with_its_members(node: RunningNode) -> None:
    assert shown(dialog(node, "staff", 0x409)) == {
        ("General", "Name", "Display"): ["Staff"],
        ("General", "Name", "Alias"): ["staff"],
        ("General", "Members", ""): ["Alice Example", "Bob Example"],
        ("Notes", "Notes", ""): ["All who", "work here"],
    }


def test_a_person_in_german(node: RunningNode) -> None:
    found = shown(dialog(node, "bob", 0x0C07))
    assert found["Allgemein", "Name", "Anzeigename"] == ["Bob Example"]
    assert "SMTP:bob@example.test" in found["E-Mail-Adressen", "E-Mail-Adressen", ""]
    assert found["Mitglied von", "Gruppenmitgliedschaft", ""] == ["Staff"]


def scripted(*answers: Any) -> NspiClient:
    return NspiClient(ScriptedChannel(*((lambda _request, one=one: one) for one in answers)))  # type: ignore[arg-type]


def resolved() -> NspiResolveNamesWResponse:
    values = [PropertyValue_r(p.PidTagEmailAddress, "/o=x"), PropertyValue_r(p.PidTagDisplayType, 1)]
    return NspiResolveNamesWResponse([2], [PropertyRow_r(values)], 0)


def template(data: bytes) -> NspiGetTemplateInfoResponse:
    return NspiGetTemplateInfoResponse(PropertyRow_r([PropertyValue_r(p.PidTagTemplateData, data)]), 0)


NOTHING = NspiGetPropsResponse(PropertyRow_r([]), 0)


@pytest.mark.parametrize("data", [b"", b"\1\0\0\0\xff\xff\xff\xff", b"\2\0\0\0\0\0\0\0"])
def test_a_damaged_template(data: bytes) -> None:
    with pytest.raises(ClientError, match="template is damaged"):
        asyncio.run(details(scripted(resolved(), NspiDNToMIdResponse([17], 0), template(data)), "x", 0))


def test_a_template_without_pages_and_boxes() -> None:
    controls = [
        Control(0, 0, 0, 0, ControlType.LABEL, text="R&&D &boss"),
        Control(0, 0, 0, 0, ControlType.LIST_BOX, tag=0x8005000D),
        Control(0, 0, 0, 0, ControlType.BUTTON, tag=0x8005000D, text="?"),
    ]
    data = pack_template(controls, str.encode)
    too_many = NspiGetMatchesResponse(STAT(), None, None, ErrorCode.TableTooBig)
    nspi = scripted(resolved(), NspiDNToMIdResponse([17], 0), template(data), NOTHING, too_many)
    field = Field("R&D boss", [f"(more than {module.LIST_LIMIT})"])
    assert asyncio.run(details(nspi, "x", 0)) == [Page("", [Box("", [field])])]


def test_an_empty_template_is_an_empty_dialog() -> None:
    nspi = scripted(resolved(), NspiDNToMIdResponse([17], 0), template(pack_template([], str.encode)), NOTHING)
    assert asyncio.run(details(nspi, "x", 0)) == []


def test_what_there_is_no_dialog_for() -> None:
    refused = NspiGetTemplateInfoResponse(None, ErrorCode.InvalidLocale)
    with pytest.raises(MapiError, match="InvalidLocale: NspiGetTemplateInfo"):
        asyncio.run(details(scripted(resolved(), NspiDNToMIdResponse([17], 0), refused), "x", 0))
    with pytest.raises(NoSuchName):
        asyncio.run(details(scripted(resolved(), NspiDNToMIdResponse([0], 0)), "x", 0))
