"""Targets of files: the configuration, and mail to import."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from openchange_py.config import ConfigError, declared
from openchange_py.config.parser import same_name
from openchange_py.config.routes import check_routes
from openchange_py.config.settings import read
from openchange_py.mime.importer import message_draft
from openchange_py.mime.parser import ImportRefused
from openchange_py.resources import setup_path
from openchange_py.rpc.binding import Binding
from tests.fuzz.target import target


def _configurations() -> list[bytes]:
    return [path.read_bytes() for path in sorted(setup_path().glob("smb.conf.*"))]


@target("config", _configurations)
def fuzz_config(data: bytes) -> None:
    """smb.conf: settings, or `ConfigError`. Lines that include other files are left out."""
    if "include" in same_name(data.decode("latin-1")):
        return
    with tempfile.TemporaryDirectory(prefix="ocpy-fuzz-", dir=_memory()) as place:
        path = Path(place) / "smb.conf"
        path.write_bytes(data)
        with contextlib.suppress(ConfigError):
            settings = read(path, declared.OPTIONS)
            settings.check()
            settings.effective()
            if not settings.is_set(declared.PASSWORD_FILE):
                check_routes(settings)
    with contextlib.suppress(ValueError):
        str(Binding.parse(data.decode("utf-8", "replace")))


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _mail() -> list[bytes]:
    return [path.read_bytes() for path in sorted((setup_path() / "sample-mailbox").glob("*.eml"))]


@target("mime", _mail, longest=8192)
def fuzz_mime(data: bytes) -> None:
    """Mail to import: a draft, or a refusal."""
    with contextlib.suppress(ImportRefused):
        message_draft(data)
