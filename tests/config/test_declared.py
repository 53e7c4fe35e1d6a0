"""The program's own options: each declared once, and what their defaults come out as."""

from __future__ import annotations

import socket
from pathlib import Path

from openchange_py.config import declared
from openchange_py.config.declared import OPTIONS
from openchange_py.config.settings import read
from openchange_py.rpc.security import AuthLevel


def test_names_are_unique_and_every_option_has_help() -> None:
    keys = [option.key for option in OPTIONS]
    assert len(keys) == len(set(keys)) > 30
    assert all(option.help and not option.help.endswith(".") for option in OPTIONS)


def test_defaults_of_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "smb.conf").write_text("")
    settings = read(tmp_path / "smb.conf", OPTIONS)
    settings.check()
    assert settings[declared.NETBIOS_NAME] == socket.gethostname().partition(".")[0].upper()[:15]
    assert settings[declared.SERVER] is False
    assert settings[declared.DATA_DIRECTORY] == Path("/var/lib/openchange-py")
    assert settings[declared.DATABASE] == "sqlite:////var/lib/openchange-py/mailboxes.db"
    assert settings[declared.ENDPOINT_MAPPER_PORT] == 135
    assert settings[declared.RPC_PORT] == 0
    assert settings[declared.MINIMUM_AUTH_LEVEL] is AuthLevel.PRIVACY
    assert settings[declared.SERVED_INTERFACES] == ("exchange_emsmdb", "exchange_nsp", "exchange_ds_rfr")


def test_defaults_follow_other_options(tmp_path: Path) -> None:
    path = tmp_path / "smb.conf"
    path.write_text("netbios name = node\nrealm = Example.Test\nworkgroup = work\nocpy:data directory = /srv/ocpy")
    settings = read(path, OPTIONS)
    assert settings[declared.FQDN] == "node.example.test"
    assert settings[declared.MAIL_DOMAIN] == "example.test"
    assert settings[declared.DOMAIN] == "WORK"
    assert settings[declared.DIRECTORY] == "sqlite:////srv/ocpy/directory.db"
