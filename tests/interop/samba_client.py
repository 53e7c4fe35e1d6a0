"""Run by Debian's interpreter, for its python3-samba: calls rpcecho and mgmt, and prints what came back as JSON.

python3 samba_client.py BINDING MECHANISM USER DOMAIN REALM < password
"""

from __future__ import annotations

import json
import sys

from samba import NTSTATUSError, credentials, param
from samba.dcerpc import echo, mgmt


def main(binding: str, mechanism: str, user: str, domain: str, realm: str) -> dict[str, object]:
    lp = param.LoadParm()
    lp.load_default()
    account = credentials.Credentials()
    account.guess(lp)
    account.set_username(user)
    account.set_domain(domain)
    account.set_realm(realm)
    account.set_password(sys.stdin.readline().rstrip("\n"))
    kerberos = credentials.MUST_USE_KERBEROS if mechanism == "kerberos" else credentials.DONT_USE_KERBEROS
    account.set_kerberos_state(kerberos)
    if mechanism == "anonymous":
        account.set_anonymous()
    try:
        client = echo.rpcecho(binding, lp, account)
        numbers = [i % 251 for i in range(20000)]
        # With a bare mechanism the library authenticates again in alter_context, which Samba's server refuses, too.
        second = mgmt.mgmt(binding, lp, account, basis_connection=client) if "spnego" in binding else None
        return {
            "add_one": client.AddOne(41),
            "echo": client.EchoData(numbers) == numbers,
            "source": sum(client.SourceData(6000)),
            "call": client.TestCall("søme text"),
            "interfaces": None if second is None else [str(known.id.uuid) for known in second.inq_if_ids().if_id],
        }
    except NTSTATUSError as error:
        return {"error": error.args[1]}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:6])))
