"""Targets of what one proxy sends another: containers among ROPs, compressed and encrypted buffers."""

from __future__ import annotations

import atexit
import contextlib
import functools
import tempfile
from pathlib import Path

from openchange_py.proxy.hop import REQUEST
from openchange_py.proxy.hop_keys import new_key, write_keys
from openchange_py.proxy.modules.compress import MAXIMUM_SIZE, CompressModule
from openchange_py.proxy.modules.encrypt import EncryptModule
from openchange_py.proxy.testing import settings_of
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.rop.base import RopReleaseRequest
from openchange_py.wire.rop.container import Container, ContainerId, pack_indexed, unpack_indexed, unwrapped, wrapped
from tests.fuzz.target import target

_DIRECTION = REQUEST + b" 1/1"


@functools.cache
def _compress() -> CompressModule:
    made = CompressModule()
    made.init(settings_of(CompressModule, {}))
    return made


@functools.cache
def _encrypt() -> EncryptModule:
    """With a key of this process."""
    place = tempfile.TemporaryDirectory(prefix="ocpy-fuzz-")
    atexit.register(place.cleanup)
    path = Path(place.name) / "hop.key"
    write_keys(path, dict([new_key({})]))
    made = EncryptModule(lambda: 1_800_000_000.0)
    made.init(settings_of(EncryptModule, {"mpm_encrypt:key file": str(path)}))
    return made


def _seeds() -> list[bytes]:
    payload = b"\x1d\0" + b"the subject of a message" + b"\0\0\0" + b"\7\0\0\0"
    blobs = [_compress().wrap(payload * 9, REQUEST, None)[0], _encrypt().wrap(payload, _DIRECTION, None)[0]]
    indexed = pack_indexed([(0, RopReleaseRequest(0, 0)), (2, RopReleaseRequest(0, 1))])
    return [*blobs, indexed, *(wrapped(kind, blobs[0]) for kind in ContainerId)]


@target("hop", _seeds, longest=2048)
def fuzz_hop(data: bytes) -> None:
    """Containers, and what the modules pack, compress and encrypt open of them. Nobody makes what encrypt opens."""
    for kind in ContainerId:
        with contextlib.suppress(DecodeError):
            unwrapped(kind, data)
        with contextlib.suppress(DecodeError):
            container = Container.unpack(kind, data)
            assert container is None or container.pack() + container.rest == data
    with contextlib.suppress(DecodeError, EncodeError):
        found = unpack_indexed(data, [1, 2, 3])
        assert pack_indexed(found) == data
    with contextlib.suppress(DecodeError):
        opened, _ = _compress().open(data, _DIRECTION, None)
        assert len(opened) <= max(MAXIMUM_SIZE, len(data))
    with contextlib.suppress(DecodeError):
        _encrypt().open(data, _DIRECTION, None)
