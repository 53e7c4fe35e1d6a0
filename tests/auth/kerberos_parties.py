"""A Kerberos realm without KDC, for tests: impacket makes the tickets, the system's library uses them."""

from __future__ import annotations

import datetime
import os
import struct
from pathlib import Path

import pytest
from impacket.krb5 import constants, types
from impacket.krb5.asn1 import (
    AP_REQ,
    KRB_CRED,
    TGS_REP,
    Authenticator,
    EncTGSRepPart,
    EncTicketPart,
    Ticket,
    seq_set,
)
from impacket.krb5.ccache import CCache
from impacket.krb5.crypto import Key, _enctype_table
from impacket.krb5.types import KerberosTime, Principal
from pyasn1.codec.der import decoder, encoder

REALM = "EXAMPLE.TEST"
SERVICE = "exchangeMDB/exch1.example.test"
AES256, AES128, RC4 = 18, 17, 23
_KEY_SIZES = {AES256: 32, AES128: 16, RC4: 16}


def require_gssapi() -> None:
    """Skip, loudly, where the optional package is not installed."""
    pytest.importorskip("gssapi", reason="the optional package gssapi is not installed: no Kerberos here")


class Realm:
    """The keys of one service, and tickets for it as a KDC would give them."""

    def __init__(self, directory: Path, enctype: int = AES256, service: str = SERVICE) -> None:
        require_gssapi()
        self._service = service
        self.directory = directory
        self.enctype = enctype
        self._key = Key(enctype, os.urandom(_KEY_SIZES[enctype]))
        self.keytab = directory / "service.keytab"
        self.keytab.write_bytes(b"\x05\x02" + self._keytab_entry())
        self.krb5_conf = directory / "krb5.conf"
        self.krb5_conf.write_text(
            f"[libdefaults]\n  default_realm = {REALM}\n  dns_lookup_kdc = false\n  dns_lookup_realm = false\n"
            "  rdns = false\n  dns_canonicalize_hostname = false\n  allow_rc4 = true\n"
            f"[realms]\n  {REALM} = {{\n    kdc = 127.0.0.1:9\n  }}\n"
        )

    def _keytab_entry(self) -> bytes:
        def counted(value: bytes) -> bytes:
            return struct.pack(">H", len(value)) + value

        components = self._service.encode().split(b"/")
        entry = struct.pack(">H", len(components)) + counted(REALM.encode()) + b"".join(map(counted, components))
        entry += struct.pack(">IIBH", 1, 0, 1, self.enctype) + counted(self._key.contents)
        return struct.pack(">i", len(entry)) + entry

    def ticket(self, principal: str, *, crealm: str = REALM, hours: float = 1, other_key: bool = False) -> str:
        """The credential cache of a client that has a ticket for the service."""
        key = Key(self.enctype, os.urandom(_KEY_SIZES[self.enctype])) if other_key else self._key
        client = Principal(principal, default_realm=crealm, type=constants.PrincipalNameType.NT_PRINCIPAL.value)
        server = Principal(self._service, default_realm=REALM, type=constants.PrincipalNameType.NT_SRV_INST.value)
        session = Key(self.enctype, os.urandom(_KEY_SIZES[self.enctype]))
        now = datetime.datetime.now(datetime.UTC)
        times = {
            "authtime": KerberosTime.to_asn1(now - datetime.timedelta(hours=2)),
            "starttime": KerberosTime.to_asn1(now - datetime.timedelta(hours=2)),
            "endtime": KerberosTime.to_asn1(now + datetime.timedelta(hours=hours)),
        }
        part = EncTicketPart()
        part["flags"] = constants.encodeFlags([constants.TicketFlags.initial.value])
        part["key"]["keytype"], part["key"]["keyvalue"] = session.enctype, session.contents
        part["crealm"] = crealm
        seq_set(part, "cname", client.components_to_asn1)
        part["transited"]["tr-type"], part["transited"]["contents"] = 0, ""
        reply = TGS_REP()
        reply["pvno"], reply["msg-type"] = 5, constants.ApplicationTagNumbers.TGS_REP.value
        reply["crealm"] = crealm
        seq_set(reply, "cname", client.components_to_asn1)
        ticket = seq_set(reply, "ticket")
        ticket["tkt-vno"], ticket["realm"] = 5, REALM
        seq_set(ticket, "sname", server.components_to_asn1)
        answer = EncTGSRepPart()
        answer["key"]["keytype"], answer["key"]["keyvalue"] = session.enctype, session.contents
        answer["last-req"][0]["lr-type"], answer["last-req"][0]["lr-value"] = 0, times["authtime"]
        answer["nonce"] = 1
        answer["flags"] = constants.encodeFlags([constants.TicketFlags.initial.value])
        answer["srealm"] = REALM
        seq_set(answer, "sname", server.components_to_asn1)
        for name, value in times.items():
            part[name] = answer[name] = value
        _encrypt(ticket["enc-part"], key, 2, encoder.encode(part), kvno=1)
        _encrypt(reply["enc-part"], session, 8, encoder.encode(answer))
        cache = CCache()
        cache.fromTGS(encoder.encode(reply), session, session)
        path = self.directory / f"{os.urandom(4).hex()}.ccache"
        cache.saveFile(str(path))
        return f"FILE:{path}"


def _encrypt(target: Ticket, key: Key, usage: int, plain: bytes, kvno: int | None = None) -> None:
    target["etype"] = key.enctype
    if kvno is not None:
        target["kvno"] = kvno
    target["cipher"] = _enctype_table[key.enctype].encrypt(key, usage, plain, None)


def forwarding_ap_req(ccache: str, forwarded: str, *, encrypted: bool = True) -> bytes:
    """The AP-REQ of a client that forwards the ticket of another cache, as GSS_C_DELEG_FLAG has it: RFC 4121 4.1.1.

    Without encryption beside the authenticator's own it is Heimdal's.
    """
    own = CCache.loadFile(ccache.removeprefix("FILE:")).credentials[0]
    tgs = own.toTGS()
    cred = decoder.decode(CCache.loadFile(forwarded.removeprefix("FILE:")).toKRBCRED(), asn1Spec=KRB_CRED())[0]
    if encrypted:
        _encrypt(cred["enc-part"], tgs["sessionKey"], 14, cred["enc-part"]["cipher"].asOctets())
    message = encoder.encode(cred)
    # Lgth, Bnd, Flags (DELEG, MUTUAL, DCE_STYLE), DlgOpt, Dlgth.
    checksum = struct.pack("<I16xIHH", 16, 0x1003, 1, len(message)) + message
    authenticator = Authenticator()
    authenticator["authenticator-vno"], authenticator["crealm"] = 5, own["client"].realm["data"].decode()
    client = Principal(own["client"].prettyPrint().decode(), type=constants.PrincipalNameType.NT_PRINCIPAL.value)
    seq_set(authenticator, "cname", client.components_to_asn1)
    authenticator["cksum"]["cksumtype"], authenticator["cksum"]["checksum"] = 0x8003, checksum
    now = datetime.datetime.now(datetime.UTC)
    authenticator["cusec"], authenticator["ctime"] = now.microsecond, KerberosTime.to_asn1(now)
    request = AP_REQ()
    request["pvno"], request["msg-type"] = 5, constants.ApplicationTagNumbers.AP_REQ.value
    request["ap-options"] = constants.encodeFlags([])
    ticket = types.Ticket()
    ticket.from_asn1(decoder.decode(own.ticket["data"], asn1Spec=Ticket())[0])
    seq_set(request, "ticket", ticket.to_asn1)
    _encrypt(request["authenticator"], tgs["sessionKey"], 11, encoder.encode(authenticator))
    return bytes(encoder.encode(request))
