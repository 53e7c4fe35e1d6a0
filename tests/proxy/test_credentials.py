"""Who authenticates toward the upstream."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from openchange_py.auth.ntlm import NtlmInitiator
from openchange_py.auth.spnego import Mechanism
from openchange_py.config.routes import Credentials, MachineLogon
from openchange_py.proxy.credentials import KerberosLogons, MachineAccount, SpecifiedAccount
from openchange_py.rpc.security import AuthLevel, AuthType, SecurityError
from tests.auth.kerberos_parties import Realm, require_gssapi
from tests.auth.ntlm_parties import PASSWORD, authenticator
from tests.proxy.parties import number_call


def test_every_connection_authenticates_anew_as_the_specified_account() -> None:
    account = SpecifiedAccount(Credentials("alice", "EXAMPLE", PASSWORD))
    for _ in range(2):
        initiator = asyncio.run(account.context(number_call(), "exchangeMDB/exch1.example.test", AuthLevel.PRIVACY))
        acceptor = authenticator().acceptor(initiator.auth_type, "192.0.2.1:1024")
        assert acceptor is not None
        token = b""
        while not (initiator.complete and acceptor.complete):
            token = acceptor.step(initiator.step(token))
        assert acceptor.identity is not None
        assert acceptor.identity.account == "alice"


def machine(password: str = "", keytab: Path | None = None, realm: str = "EXAMPLE.TEST") -> MachineAccount:
    return MachineAccount(MachineLogon("alice", "EXAMPLE", realm, keytab, password), KerberosLogons(30.0))


def context(account: MachineAccount, mechanism: AuthType | None = None) -> Mechanism:
    return asyncio.run(account.context(number_call(), "exchangeMDB/exch1.example.test", AuthLevel.PRIVACY, mechanism))


def test_the_machine_account_with_its_password_alone() -> None:
    initiator = context(machine(PASSWORD))
    acceptor = authenticator().acceptor(AuthType.NTLMSSP, "192.0.2.1:1024")
    assert acceptor is not None
    acceptor.step(initiator.step(acceptor.step(initiator.step(b""))))
    assert acceptor.identity is not None
    assert acceptor.identity.account == "alice"


def test_the_machine_account_with_its_keytab_takes_kerberos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    realm = Realm(tmp_path)
    monkeypatch.setenv("KRB5_CONFIG", str(realm.krb5_conf))
    for mechanism in (None, AuthType.KERBEROS):
        with pytest.raises(SecurityError, match="Kerberos"):  # which has no KDC here
            context(machine(PASSWORD, realm.keytab), mechanism)
    assert isinstance(context(machine(PASSWORD, realm.keytab), AuthType.NTLMSSP), NtlmInitiator)


def test_what_the_machine_account_has_no_secret_for(tmp_path: Path) -> None:
    require_gssapi()
    with pytest.raises(SecurityError, match="a keytab and no password"):
        context(machine(keytab=tmp_path / "a.keytab"), AuthType.NTLMSSP)
    with pytest.raises(SecurityError, match="no keytab, and no realm"):
        context(machine(PASSWORD, realm=""), AuthType.KERBEROS)


def test_a_kdc_that_lets_wait_holds_nobody_else_up() -> None:
    require_gssapi()
    answered = threading.Event()

    class Waiting:
        def acquire(self) -> None:
            answered.wait(30)
            raise SecurityError("never")

    async def check() -> None:
        logons = KerberosLogons(0.01, threads=1)
        with pytest.raises(SecurityError, match=r"no ticket for exchangeMDB/x within 0\.01 s"):
            await logons.initiator(Waiting(), "exchangeMDB/x", AuthLevel.PRIVACY)
        answered.set()
        with pytest.raises(SecurityError, match="a moment ago"):
            await logons.initiator(Waiting(), "exchangeMDB/x", AuthLevel.PRIVACY)

    asyncio.run(check())
