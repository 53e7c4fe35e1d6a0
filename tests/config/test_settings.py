"""Typed settings, and errors that name option, file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from openchange_py.config import declared
from openchange_py.config.declared import OPTIONS
from openchange_py.config.options import Option, integer
from openchange_py.config.parser import ConfigError
from openchange_py.config.settings import Settings, read
from openchange_py.rpc.security import AuthLevel


def settings_of(tmp_path: Path, text: str, *more: Option[int]) -> Settings:
    path = tmp_path / "smb.conf"
    path.write_text(text)
    path.chmod(0o600)
    return read(path, (*OPTIONS, *more))


def test_names_in_any_spelling_and_the_last_value_wins(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "REALM = one\n[ Global ]\nre alm = two\nNetBIOS Name = %D-node\nworkgroup = w")
    assert settings[declared.REALM] == "TWO"
    assert settings[declared.NETBIOS_NAME] == "W-NODE"


def test_quotes_are_removed(tmp_path: Path) -> None:
    text = 'ocpy:organization = "First % Organization"\ninterfaces = "eth 0" lo'
    settings = settings_of(tmp_path, text)
    assert settings[declared.ORGANIZATION] == "First % Organization"
    assert settings[declared.INTERFACES] == ("eth 0", "lo")


def test_secrets_are_taken_as_they_stand(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, 'dcerpc_mapiproxy:password = "%h%%"')
    assert settings[declared.PASSWORD] == '"%h%%"'


def test_samba_options_and_sections_are_accepted(tmp_path: Path) -> None:
    text = (
        "[global]\nserver role = domain controller\nvfs objects = acl_xattr\nacl_xattr:ignore = yes\n[sysvol]\npath=/s"
    )
    settings_of(tmp_path, text).check()


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("dcerpc_mapiproxy:bindings", "did you mean dcerpc_mapiproxy:binding?"),
        ("dcerpc_mapiproxy:nspi server", "did you mean dcerpc_mapiproxy:nspi_server?"),
        ("ocpy:datadir", "did you mean ocpy:data directory?"),
        ("mpm_dumy:label", "did you mean mpm_dummy:label?"),
        ("ocpy:zzz", "?"),
    ],
)
def test_unknown_options_of_ours_are_refused(tmp_path: Path, name: str, hint: str) -> None:
    module_option = Option("mpm_dummy:label", integer(0, 9), 0, "help")
    with pytest.raises(ConfigError) as caught:
        settings_of(tmp_path, f"[global]\nrealm = x\n{name} = 1", module_option)
    assert str(caught.value).startswith(f"{tmp_path}/smb.conf:3: {name}: ")
    assert str(caught.value).endswith(hint)


def test_our_options_belong_into_global(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"smb\.conf:2: ocpy:fqdn: belongs into \[global\]"):
        settings_of(tmp_path, "[homes]\nocpy:fqdn = x")


def test_check_tells_every_bad_value(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "ocpy:rpc port = 70000\ndcerpc_mapiproxy:server = perhaps\nlog level = loud")
    with pytest.raises(ConfigError) as caught:
        settings.check()
    assert sorted(line.partition("smb.conf:")[2] for line in caught.value.problems) == [
        "1: ocpy:rpc port: 70000 is not between 0 and 65535",
        "2: dcerpc_mapiproxy:server: 'perhaps' is neither yes nor no",
        "3: log level: 'loud' is no number",
    ]


def test_a_bad_binding_is_an_error_with_its_line(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "\ndcerpc_mapiproxy:binding = ncacn_ip_tcp:host[schannel]")
    with pytest.raises(ConfigError, match=r"smb\.conf:2: dcerpc_mapiproxy:binding: flag schannel: Netlogon"):
        settings.check()


def test_substitutions_that_lead_to_themselves(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "netbios name = %D\nworkgroup = %L")
    with pytest.raises(ConfigError, match="its substitutions lead back to itself"):
        settings.check()


def test_missing_environment_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OCPY_TEST_NAME", raising=False)
    with pytest.raises(ConfigError, match=r":1: realm: environment variable OCPY_TEST_NAME is not set"):
        settings_of(tmp_path, "realm = %$(OCPY_TEST_NAME)").check()


def test_include_with_substitution(tmp_path: Path) -> None:
    (tmp_path / "NODE.conf").write_text("ocpy:fqdn = node.example.test")
    settings = settings_of(tmp_path, "netbios name = node\ninclude = %L.conf\ninclude = %m.conf")
    assert settings[declared.FQDN] == "node.example.test"
    assert settings.place(declared.FQDN) is not None
    assert str(settings.place(declared.FQDN)).endswith("NODE.conf:1")


def test_world_readable_password_is_warned_of(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "dcerpc_mapiproxy:password = secret")
    settings.check()
    assert settings.warnings == []
    settings.path.chmod(0o644)
    settings.check()
    assert len(settings.warnings) == 1
    assert "smb.conf:1: dcerpc_mapiproxy:password: every user" in settings.warnings[0]
    assert "secret" not in settings.warnings[0]


def test_effective_marks_defaults_and_hides_secrets(tmp_path: Path) -> None:
    text = "dcerpc_mapiproxy:password = topsecret\ndcerpc_mapiproxy:modules = a b\nocpy:minimum auth level = integrity"
    shown = {item.option.name: item for item in settings_of(tmp_path, text).effective()}
    assert shown["dcerpc_mapiproxy:password"].value == "(hidden)"
    assert shown["dcerpc_mapiproxy:modules"].value == "a, b"
    assert shown["ocpy:minimum auth level"].value == "integrity"
    assert shown["ocpy:data directory"].value == "/var/lib/openchange-py"
    assert shown["dcerpc_mapiproxy:server"].value == "no"
    assert not shown["dcerpc_mapiproxy:modules"].is_default
    assert shown["dcerpc_mapiproxy:server"].is_default
    assert "topsecret" not in repr(list(shown.values()))


def test_values_are_typed(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "ocpy:minimum auth level = connect\nocpy:idle timeout = 2 min")
    level: AuthLevel = settings[declared.MINIMUM_AUTH_LEVEL]
    timeout: float = settings[declared.IDLE_TIMEOUT]
    assert (level, timeout) == (AuthLevel.CONNECT, 120.0)


def test_the_password_in_a_url_is_a_secret_too(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "ocpy:database = postgresql://ocpy:topsecret@db.example.test/mail")
    settings.path.chmod(0o644)
    settings.check()
    assert settings[declared.DATABASE] == "postgresql://ocpy:topsecret@db.example.test/mail"
    shown = {item.option.name: item.value for item in settings.effective()}
    assert shown["ocpy:database"] == "postgresql://ocpy:(hidden)@db.example.test/mail"
    assert "ocpy:database: every user of this machine" in settings.warnings[0]
    assert "topsecret" not in settings.warnings[0]
