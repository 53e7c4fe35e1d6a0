"""A module that the server of a test loads by path: it writes down what clients read of streams, a line per answer."""

from __future__ import annotations

from pathlib import Path

from openchange_py.config.options import Option, path
from openchange_py.config.settings import Settings
from openchange_py.proxy.hooks import Module
from openchange_py.proxy.rops import PassingRop, on_rop
from openchange_py.wire.rop.oxcprpt_streams import RopReadStreamResponse

FILE = Option("mpm_counting:file", path, Path("/nowhere"), "where to")


class CountingModule(Module):
    """Bytes of every RopReadStream response."""

    name = "counting"
    description = "writes down what is read of streams"
    endpoint = "exchange_emsmdb"
    options = (FILE,)

    def init(self, settings: Settings) -> None:
        self._file = settings[FILE]

    @on_rop(RopReadStreamResponse)
    def read(self, rop: PassingRop) -> None:
        with self._file.open("a") as file:
            file.write(f"{len(rop.response.data)}\n")
