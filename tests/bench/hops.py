"""Modules between two hops: bytes on the wire before and after, and µs per ROP buffer at both hops together.

The buffers are those of a client that looks through a mailbox, on our own server, with other mail than the dictionary
of `compress` was trained on.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import zstandard

from openchange_py.proxy.hop import REQUEST, RESPONSE, HopModule
from openchange_py.proxy.hop_keys import new_key, write_keys
from openchange_py.proxy.modules.compress import CompressModule
from openchange_py.proxy.modules.encrypt import EncryptModule
from openchange_py.proxy.testing import settings_of
from openchange_py.wire.lzxpress import compress as lz77
from openchange_py.wire.rop.container import CONTAINER_OVERHEAD
from tests.bench.parts.processes import ROOT
from tests.bench.parts.report import Report
from tests.bench.parts.timing import microseconds

SEED = 20_26


def run(quick: bool) -> Report:
    """Each module, requests and responses apart."""
    report = Report(
        "hops",
        notes=[
            "bytes of all ROP buffers of a conversation before and after, without RPC headers and signatures",
            "µs: wrapped at one hop and opened at the other, per buffer, best round; in one process",
        ],
    )
    requests, responses = _conversation(quick)
    with tempfile.TemporaryDirectory(prefix="ocpy-bench-") as place:
        modules = _modules(Path(place))
        for title, direction, buffers in (("requests", REQUEST, requests), ("responses", RESPONSE, responses)):
            before = sum(map(len, buffers))
            table = report.table(
                f"{len(buffers)} {title}, {before:,} bytes", "module", "bytes", "of before", "bytes per buffer", "µs"
            )
            for name, (near, far) in modules.items():
                after = sum(_wrapped_size(near, buffer, direction) for buffer in buffers)
                times = microseconds({name: functools.partial(_round, near, far, buffers, direction)}, quick=quick)
                table.add(name, after, after / before, after / len(buffers), times[name] / len(buffers))
            for name, size in (
                ("zstd, no dictionary", _plain(buffers)),
                ("LZ77 of the protocol", _lz77(buffers, quick)),
            ):
                table.add(name, size, size / before, size / len(buffers), None)
    return report


def _conversation(quick: bool) -> tuple[list[bytes], list[bytes]]:
    """Made by the script that trains the dictionary, with another seed."""
    loader = importlib.machinery.SourceFileLoader("train_rop_dictionary", str(ROOT / "setup" / "train_rop_dictionary"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    script = importlib.util.module_from_spec(spec)
    loader.exec_module(script)
    requests, responses = script.samples(SEED, 3 if quick else 60)
    return requests, responses


def _modules(place: Path) -> dict[str, tuple[list[HopModule], list[HopModule]]]:
    """What stands at the near hop and at the far one, outermost first at the near."""
    keys = place / "hop.key"
    write_keys(keys, dict([new_key({})]))

    def compress(**options: str) -> HopModule:
        return _made(CompressModule, {f"mpm_compress:{name}": value for name, value in options.items()})

    def encrypt(cipher: str) -> HopModule:
        return _made(EncryptModule, {"mpm_encrypt:key file": str(keys), "mpm_encrypt:cipher": cipher})

    made: dict[str, Any] = {
        "compress": lambda: [compress()],
        "compress, level 9": lambda: [compress(level="9")],
        "encrypt": lambda: [encrypt("chacha20-poly1305")],
        "encrypt, AES": lambda: [encrypt("aes-256-gcm")],
        "compress, encrypt": lambda: [compress(), encrypt("chacha20-poly1305")],
    }
    return {name: (make(), make()) for name, make in made.items()}


def _made(cls: type[HopModule], options: dict[str, str]) -> HopModule:
    module = cls()
    module.init(settings_of(cls, options))
    return module


def _wrapped(modules: list[HopModule], buffer: bytes, direction: bytes) -> tuple[bytes, list[Any]]:
    kept = []
    for module in modules:
        buffer, exchange = module.wrap(buffer, direction, None)
        kept.append(exchange)
    return buffer, kept


def _wrapped_size(modules: list[HopModule], buffer: bytes, direction: bytes) -> int:
    return len(_wrapped(modules, buffer, direction)[0]) + CONTAINER_OVERHEAD * len(modules)


def _round(near: list[HopModule], far: list[HopModule], buffers: list[bytes], direction: bytes) -> None:
    for buffer in buffers:
        blob, _ = _wrapped(near, buffer, direction)
        for module in reversed(far):
            blob, _ = module.open(blob, direction, None)
        assert blob == buffer


def _plain(buffers: list[bytes]) -> int:
    compressor = zstandard.ZstdCompressor(level=9)
    return sum(min(len(compressor.compress(buffer)), len(buffer)) for buffer in buffers)


def _lz77(buffers: list[bytes], quick: bool) -> int:
    """What [MS-OXCRPC] 3.1.4.1.1.1 has; of a part, as it is slow in Python."""
    part = buffers[: 5 if quick else 100]
    size = sum(min(len(lz77(buffer)), len(buffer)) for buffer in part)
    return int(size / sum(map(len, part)) * sum(map(len, buffers)))
