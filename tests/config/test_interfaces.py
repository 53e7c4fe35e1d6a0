"""`interfaces` and `bind interfaces only`."""

from __future__ import annotations

from pathlib import Path

import pytest

from openchange_py.config.declared import OPTIONS
from openchange_py.config.interfaces import addresses_of, listen_addresses, local_addresses
from openchange_py.config.parser import ConfigError
from openchange_py.config.settings import Settings, read

LOCAL = {"lo": ["127.0.0.1", "::1"], "eth0": ["192.0.2.5"], "eth1": ["198.51.100.7", "2001:db8::7"]}


def settings_of(tmp_path: Path, text: str) -> Settings:
    (tmp_path / "smb.conf").write_text(text)
    return read(tmp_path / "smb.conf", OPTIONS)


@pytest.mark.parametrize(
    ("entry", "addresses"),
    [
        ("127.0.0.1", ["127.0.0.1"]),
        ("eth0", ["192.0.2.5"]),
        ("eth*", ["192.0.2.5", "198.51.100.7", "2001:db8::7"]),
        ("192.0.2.0/24", ["192.0.2.5"]),
        ("192.0.2.5/24", ["192.0.2.5"]),
        ("192.0.2.0/255.255.255.0", ["192.0.2.5"]),
        ("2001:db8::/64", ["2001:db8::7"]),
        ("10.0.0.0/8", []),
        ("wlan0", []),
    ],
)
def test_entries(entry: str, addresses: list[str]) -> None:
    assert addresses_of(entry, LOCAL) == addresses


def test_all_addresses_unless_told_otherwise(tmp_path: Path) -> None:
    assert listen_addresses(settings_of(tmp_path, "interfaces = lo"))[0] == "0.0.0.0"


def test_loopback_only(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "interfaces = 127.0.0.1 127.0.0.1/8\nbind interfaces only = yes")
    assert listen_addresses(settings) == ["127.0.0.1"]


def test_this_machine_has_a_loopback_interface() -> None:
    assert "127.0.0.1" in local_addresses()["lo"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("bind interfaces only = yes", ":1: bind interfaces only: needs interfaces"),
        ("bind interfaces only = yes\ninterfaces = nosuch0", ":2: interfaces: 'nosuch0' is no address or interface"),
    ],
)
def test_nothing_to_listen_on(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        listen_addresses(settings_of(tmp_path, text))
    assert reason in str(caught.value)
