"""Structures of MIT's krb5.h, as far as their fields are read or filled in: the ABI of libkrb5.so.3."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_int32, c_uint, c_uint8, c_uint32, c_void_p
from typing import Any


class Data(ctypes.Structure):
    _fields_ = [("magic", c_int32), ("length", c_uint), ("data", c_void_p)]

    @classmethod
    def of(cls, data: bytes) -> tuple[Data, Any]:
        """The structure, and the buffer that must live as long."""
        buffer = ctypes.create_string_buffer(data, len(data))
        return cls(0, len(data), ctypes.cast(buffer, c_void_p)), buffer


class Keyblock(ctypes.Structure):
    _fields_ = [("magic", c_int32), ("enctype", c_int32), ("length", c_uint), ("contents", c_void_p)]


class Times(ctypes.Structure):
    _fields_ = [("authtime", c_int32), ("starttime", c_int32), ("endtime", c_int32), ("renew_till", c_int32)]


class Transited(ctypes.Structure):
    _fields_ = [("magic", c_int32), ("tr_type", c_uint8), ("tr_contents", Data)]


class EncTktPart(ctypes.Structure):
    _fields_ = [
        ("magic", c_int32),
        ("flags", c_int32),
        ("session", POINTER(Keyblock)),
        ("client", c_void_p),
        ("transited", Transited),
        ("times", Times),
    ]


class EncData(ctypes.Structure):
    _fields_ = [("magic", c_int32), ("enctype", c_int32), ("kvno", c_uint32), ("ciphertext", Data)]


class Ticket(ctypes.Structure):
    _fields_ = [("magic", c_int32), ("server", c_void_p), ("enc_part", EncData), ("enc_part2", POINTER(EncTktPart))]


class Checksum(ctypes.Structure):
    _fields_ = [("magic", c_int32), ("type", c_int32), ("length", c_uint), ("contents", c_void_p)]


class Authenticator(ctypes.Structure):
    _fields_ = [("magic", c_int32), ("client", c_void_p), ("checksum", POINTER(Checksum))]


class Creds(ctypes.Structure):
    _fields_ = [
        ("magic", c_int32),
        ("client", c_void_p),
        ("server", c_void_p),
        ("keyblock", Keyblock),
        ("times", Times),
        ("is_skey", c_uint),
        ("ticket_flags", c_int32),
        ("addresses", c_void_p),
        ("ticket", Data),
        ("second_ticket", Data),
        ("authdata", c_void_p),
    ]
