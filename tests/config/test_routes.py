"""Who answers which interface."""

from __future__ import annotations

from pathlib import Path

import pytest

from openchange_py.config import ConfigError, Settings, declared, load
from openchange_py.config.routes import RelayAs, describe_relay, machine_logon, relay_as, relay_credentials, routes

RELAY = "dcerpc_mapiproxy:binding = ncacn_ip_tcp:exchange[print]\ndcerpc_mapiproxy:username = svc\n"
PASSWORD = "dcerpc_mapiproxy:password = secret\n"
BINDING = "dcerpc_mapiproxy:binding = ncacn_ip_tcp:exchange\n"
DELEGATED = "dcerpc_mapiproxy:delegated_auth = yes\n"
MACHINE = "dcerpc_mapiproxy:use_machine_account = yes\n"
KRB5 = "dcerpc_mapiproxy:binding = ncacn_ip_tcp:exchange[krb5]\n"


def settings_of(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "smb.conf"
    path.write_text(text)
    path.chmod(0o600)
    return load(path)


def shown(settings: Settings) -> dict[str, str]:
    return {route.interface: str(route) for route in routes(settings)}


def test_server_true_answers_everything_locally(tmp_path: Path) -> None:
    assert shown(settings_of(tmp_path, "dcerpc_mapiproxy:server = true")) == {
        "exchange_emsmdb": "local server emsmdb",
        "exchange_async_emsmdb": "local server emsmdb",
        "exchange_nsp": "local server nspi",
        "exchange_ds_rfr": "local server rfr",
    }


def test_hybrid(tmp_path: Path) -> None:
    text = RELAY + PASSWORD + "dcerpc_mapiproxy:nspi_server = nspi\ndcerpc_mapiproxy:rfr_server = my_rfr"
    assert shown(settings_of(tmp_path, text)) == {
        "exchange_emsmdb": "relay to ncacn_ip_tcp:exchange[print]",
        "exchange_async_emsmdb": "relay to ncacn_ip_tcp:exchange[print]",
        "exchange_nsp": "local server nspi",
        "exchange_ds_rfr": "local server my_rfr",
    }


def test_several_servers_to_relay_to(tmp_path: Path) -> None:
    text = (RELAY + PASSWORD).replace("exchange[print]", 'exch1[seal, print] "ncacn_ip_tcp:exch2"')
    settings = settings_of(tmp_path, text)
    assert shown(settings)["exchange_nsp"] == "relay to ncacn_ip_tcp:exch1[seal, print], ncacn_ip_tcp:exch2"
    [effective] = [option for option in settings.effective() if option.option is declared.BINDING]
    assert effective.value == "ncacn_ip_tcp:exch1[seal, print], ncacn_ip_tcp:exch2"


def test_interfaces_chooses(tmp_path: Path) -> None:
    text = "dcerpc_mapiproxy:server = yes\ndcerpc_mapiproxy:interfaces = exchange_nsp exchange_nsp"
    assert list(shown(settings_of(tmp_path, text))) == ["exchange_nsp"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "dcerpc_mapiproxy:binding: is needed: exchange_emsmdb, exchange_async_emsmdb, exchange_nsp"),
        (RELAY, "dcerpc_mapiproxy:password: is needed to relay"),
        (PASSWORD, "dcerpc_mapiproxy:username: is needed to relay"),
        (RELAY + PASSWORD + "dcerpc_mapiproxy:password file = /x", "dcerpc_mapiproxy:password is set as well"),
        (RELAY + "dcerpc_mapiproxy:password file = /nowhere/at/all", "can't be read"),
        ("dcerpc_mapiproxy:delegated_auth = yes", "dcerpc_mapiproxy:binding: is needed"),
        (BINDING + DELEGATED + MACHINE, "use_machine_account is set as well: choose one"),
        (RELAY + DELEGATED, "dcerpc_mapiproxy:username: dcerpc_mapiproxy:delegated_auth is set as well: choose one"),
        (BINDING + MACHINE + PASSWORD, "dcerpc_mapiproxy:password: dcerpc_mapiproxy:use_machine_account is set"),
        (BINDING + MACHINE, "needs ocpy:keytab or ocpy:machine password file"),
        (KRB5 + DELEGATED, "dcerpc_mapiproxy:binding: flag krb5: the tickets of callers need ocpy:keytab"),
        (
            KRB5.replace("krb5", "ntlm") + MACHINE + "realm = X\nocpy:keytab = /x",
            "NTLM needs ocpy:machine password file",
        ),
        (BINDING + MACHINE + "ocpy:keytab = /x", "Kerberos needs `realm`"),
        ((RELAY + PASSWORD).replace("[print]", "[krb5]"), "flag krb5: Kerberos needs `realm`"),
        (BINDING + MACHINE + "ocpy:machine password file = /nowhere/at/all", "can't be read"),
        (
            "dcerpc_mapiproxy:interfaces = exchange_emsmbd",
            "unknown interface 'exchange_emsmbd'; known are exchange_nsp",
        ),
        ("dcerpc_mapiproxy:interfaces = exchange_async_emsmdb", "no interface is left to serve"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of(tmp_path, text)
    assert reason in str(caught.value)
    assert str(tmp_path / "smb.conf") in str(caught.value)


def test_password_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("from file\nsecond line\n")
    secret.chmod(0o600)
    settings = settings_of(tmp_path, RELAY + f"dcerpc_mapiproxy:password file = {secret}")
    credentials = relay_credentials(settings)
    assert (credentials.username, credentials.domain, credentials.password) == ("svc", "WORKGROUP", "from file")
    assert "from file" not in repr(credentials)
    assert settings.warnings == []
    secret.chmod(0o644)
    relay_credentials(settings)
    assert f"can read {secret}" in settings.warnings[0]


def test_who_relayed_calls_come_from(tmp_path: Path) -> None:
    secret = tmp_path / "machine"
    secret.write_text("machine secret\n")
    secret.chmod(0o600)
    names = "netbios name = EXCH1\nworkgroup = EXAMPLE\nrealm = EXAMPLE.TEST\n"
    machine = names + BINDING + MACHINE + f"ocpy:machine password file = {secret}\n"
    described = {
        RelayAs.SPECIFIED: (names + RELAY + PASSWORD, "the specified account EXAMPLE\\svc"),
        RelayAs.MACHINE: (machine, "the machine account EXCH1$"),
        RelayAs.CALLER: (names + BINDING + DELEGATED, "the caller himself"),
    }
    for kind, (text, shown_as) in described.items():
        settings = settings_of(tmp_path, text)
        assert (relay_as(settings), describe_relay(settings)) == (kind, shown_as)
    logon = machine_logon(settings_of(tmp_path, machine))
    assert (logon.account, logon.domain, logon.principal) == ("EXCH1$", "EXAMPLE", "EXCH1$@EXAMPLE.TEST")
    assert logon.password == "machine secret"
    assert "machine secret" not in repr(logon)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (RELAY + PASSWORD, "needs dcerpc_mapiproxy:delegated_auth"),
        (BINDING + DELEGATED, "needs ocpy:minimum auth level = connect"),
        (
            "dcerpc_mapiproxy:binding = ncacn_ip_tcp:a, ncacn_ip_tcp:b\nocpy:minimum auth level = connect\n"
            + DELEGATED,
            "one server to relay to only",
        ),
        (
            "dcerpc_mapiproxy:binding = ncacn_ip_tcp:a[seal]\nocpy:minimum auth level = connect\n" + DELEGATED,
            "the binding demands more protection than level connect",
        ),
        (
            "dcerpc_mapiproxy:binding = https://a/mapi/\nocpy:minimum auth level = connect\n" + DELEGATED,
            "works over ncacn_ip_tcp only",
        ),
    ],
)
def test_logons_that_pass_protect_nothing_and_nobody_may_have_asked_for_more(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of(tmp_path, text + "dcerpc_mapiproxy:pass ntlm through = yes")
    assert f"dcerpc_mapiproxy:pass ntlm through: {reason}" in str(caught.value).replace(" works with", "")


def test_logons_may_pass(tmp_path: Path) -> None:
    for flags in ("", "[connect,ntlm]"):
        binding = f"dcerpc_mapiproxy:binding = ncacn_ip_tcp:a{flags}\nocpy:minimum auth level = connect\n"
        settings = settings_of(tmp_path, binding + DELEGATED + "dcerpc_mapiproxy:pass ntlm through = yes")
        assert describe_relay(settings) == "the caller himself; NTLM logons at level connect pass through"
