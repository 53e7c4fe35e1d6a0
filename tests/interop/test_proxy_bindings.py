"""Relays as processes, by the flags of their bindings: clients read the same through each as from the server itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from tests.interop.nodes import Node, Site
from tests.interop.test_ndr64 import seen

pytestmark = pytest.mark.xdist_group("site")


@contextlib.contextmanager
def relaying(site: Site, flags: str) -> Iterator[Node]:
    """A node that relays everything to node exchange."""
    name = flags.replace(",", "-")
    config = site.place / f"{name}.conf"
    lines = site.hybrid.config.read_text("utf-8").replace(",seal]", f",{flags}]").splitlines()
    kept = [line.replace("hybrid", name) for line in lines if "_server = " not in line]
    config.write_text("\n".join(kept) + "\n", "utf-8")
    (site.place / name).mkdir()
    node = Node(name, config)
    try:
        node.start()
        node.wait_until_ready()
        yield node
        assert node.stop() == 0
    finally:
        node.abandon()


@pytest.mark.parametrize(
    "flags",
    [
        "connect",
        "packet,spnego",
        "sign,ntlm,padcheck,validate",
        "seal,bigendian",
        "sign,spnego,bigendian,padcheck,validate",
    ],
)
def test_everything_reads_the_same_through_each_binding(site: Site, flags: str) -> None:
    expected = asyncio.run(seen(site, site.exchange, ndr64=False))
    with relaying(site, flags) as node:
        assert asyncio.run(seen(site, node, ndr64=False)) == expected
        assert asyncio.run(seen(site, node, ndr64=True)) == expected
        said = "\n".join(node.log.lines)
    assert "padding" not in said
    assert "response refused" not in said


def test_what_no_server_offers_is_told_before_anything_is_served(site: Site) -> None:
    config = site.place / "wrong.conf"
    text = site.hybrid.config.read_text("utf-8").replace(",seal]", ",seal,bigendian,ndr64]")
    config.write_text(text.replace("hybrid", "wrong"), "utf-8")
    node = Node("wrong", config)
    try:
        node.start()
        assert node.wait() == 1
    finally:
        node.abandon()
    assert any("flags bigendian and ndr64: NDR64 is little-endian" in line for line in node.log.lines)
