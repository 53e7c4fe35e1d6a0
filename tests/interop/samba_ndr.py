"""Run by Debian's interpreter, for its python3-samba: reads NDR64 stubs, and prints what Samba packs of what it read.

Standard input has a JSON list of [module, structure, "in" or "out", hex], standard output one of hex, or of errors.
"""

from __future__ import annotations

import importlib
import json
import sys

from samba.ndr import ndr_pack_in, ndr_pack_out, ndr_unpack_in, ndr_unpack_out


def anew(module: str, structure: str, side: str, stub: str) -> str:
    unpack, pack = {"in": (ndr_unpack_in, ndr_pack_in), "out": (ndr_unpack_out, ndr_pack_out)}[side]
    call = getattr(importlib.import_module(f"samba.dcerpc.{module}"), structure)()
    try:
        unpack(call, bytes.fromhex(stub), ndr64=True)
        packed: bytes = pack(call, ndr64=True)
    except Exception as error:
        return f"{structure} {side}: {error}"
    return packed.hex()


if __name__ == "__main__":
    print(json.dumps([anew(*each) for each in json.load(sys.stdin)]))
