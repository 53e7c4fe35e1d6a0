"""Client, proxy with the module `downgrade`, server, each a process: mail is read by EcDoConnect and EcDoRpc."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator

import pytest
from impacket.dcerpc.v5 import rpcrt

from openchange_py.client.messages import RemoteMessage
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import EMSMDB, normalized_version
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import NO_HANDLE
from openchange_py.wire.rop.oxcstor import RopLogonPrivateResponse
from tests.interop.foreign import Session, connection, logon_rop
from tests.interop.nodes import Node, Site

pytestmark = pytest.mark.xdist_group("site")


@pytest.fixture(scope="module")
def downgrade(site: Site) -> Iterator[Node]:
    """A node as the hybrid, with the module, which prints what it relays."""
    config = site.hybrid.config.read_text("utf-8")
    for old, new in (("hybrid", "downgrade"), ("modules = dummy", "modules = downgrade"), (",seal]", ",seal,print]")):
        assert old in config
        config = config.replace(old, new)
    (site.place / "downgrade").mkdir()
    path = site.place / "downgrade.conf"
    path.write_text(config, "utf-8")
    node = Node("downgrade", path)
    try:
        node.start()
        node.wait_until_ready()
        yield node
        assert node.stop() == 0
    finally:
        node.abandon()


def test_the_module_is_registered_and_loaded(downgrade: Node) -> None:
    downgrade.log.wait_for("module downgrade registered")
    downgrade.log.wait_for("module downgrade loaded for exchange_emsmdb: ")


async def everything(site: Site, node: Node) -> tuple[bool, list[tuple[str, str | None, list[bytes]]]]:
    """Whether the old calls were used, and alice's mail: subject, text, attachments."""
    async with site.profile(node, "alice") as profile:
        mailbox = await profile.mailbox()
        inbox = await mailbox.find_folder("Inbox")
        mail = []
        for summary in (await mailbox.messages(inbox.id)).messages:
            async with await mailbox.open_message(inbox.id, summary.id) as message:
                mail.append((summary.subject, await message.body(), await attachments(message)))
        return (await profile.session()).old, mail


async def attachments(message: RemoteMessage) -> list[bytes]:
    saved = []
    for attachment in await message.attachments():
        file = io.BytesIO()
        if not attachment.is_message:
            await message.save_attachment(attachment.number, file)
        saved.append(file.getvalue())
    return saved


def test_mail_is_the_same_by_the_old_calls(site: Site, downgrade: Node) -> None:
    start = downgrade.log.position
    (old, mail), (new, original) = (asyncio.run(everything(site, node)) for node in (downgrade, site.hybrid))
    assert (old, new) == (True, False)
    assert mail == original
    assert any(text for _, text, _ in mail)
    assert any(any(saved) for _, _, saved in mail)
    log = downgrade.log.lines[start:]
    assert any("module downgrade answers EcDoConnectEx with fault 0x1c010002" in line for line in log)
    # What was relayed is printed, ROP by ROP: nothing else than these calls.
    relayed = {line.split(" exchange_emsmdb ")[1].split(":")[0] for line in log if " > exchange_emsmdb " in line}
    assert relayed == {"EcDoConnect", "EcDoRpc", "EcDoDisconnect"}
    for rop in ("RopLogonRequest", "RopLogonPrivateResponse", "RopQueryRowsResponse", "RopReadStreamResponse"):
        assert any(f"    {rop} " in line for line in log), rop
    assert not any("not decoded" in line for line in log)


def test_the_client_that_ships_needs_no_option_for_it(site: Site, downgrade: Node) -> None:
    listed = [site.client(node, "alice", "messages", "--json") for node in (downgrade, site.exchange)]
    assert listed[0] == listed[1]


def test_a_client_that_is_not_ours(site: Site, downgrade: Node) -> None:
    with connection(site, downgrade, EMSMDB, "alice") as dce:
        opened = Session(dce)
        with pytest.raises(rpcrt.DCERPCException, match="nca_s_op_rng_error"):
            opened.connect("alice")
        connected = opened.old_connect("alice")
        assert connected.return_value == ErrorCode.Success
        assert normalized_version(connected.server_version) == (6, 0, 4417, 5)
        assert isinstance(opened.log_on("alice")[0], RopLogonPrivateResponse)  # by EcDoRpcExt2
        request = RopBuffer([logon_rop("bob")], [NO_HANDLE])
        answer = opened.old_execute(request)
        assert [getattr(rop, "return_value", None) for rop in answer.rops] == [ErrorCode.LoginPermission]
        assert opened.disconnect().cxh.is_null


def test_without_the_module_the_version_is_the_server_s(site: Site) -> None:
    for node in (site.hybrid, site.exchange):
        with connection(site, node, EMSMDB, "alice") as dce:
            opened = Session(dce)
            assert normalized_version(opened.old_connect("alice").server_version)[0] == 14
            answer = opened.old_execute(RopBuffer([logon_rop("alice")], [NO_HANDLE]))
            assert isinstance(answer.rops[0], RopLogonPrivateResponse)
