"""The `%` substitutions of smb.conf(5) that mean something to a server without a client at hand.

`%h` the host name, `%L` the NetBIOS name, `%D` the workgroup, `%v` the version, `%d` the process id,
`%$(NAME)` an environment variable, `%%` a per cent sign. Those that depend on a client (`%u`, `%m`, `%I`, ...)
stay as they are, as they do in Samba where there is no client.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable

from openchange_py import __version__

_PATTERN = re.compile(r"%(?:\$\((?P<environment>[^)]*)\)|(?P<letter>[hLDvd%]))")


def substitute(value: str, look_up: Callable[[str], str]) -> str:
    """`value` with its substitutions filled in. `look_up("L")` tells the names that the configuration sets.

    `LookupError` names an environment variable that is not set.
    """
    return _PATTERN.sub(lambda match: _replacement(match, look_up), value) if "%" in value else value


def _replacement(match: re.Match[str], look_up: Callable[[str], str]) -> str:
    name = match["environment"]
    if name is not None:
        if name not in os.environ:
            raise LookupError(f"environment variable {name} is not set")
        return os.environ[name]
    letter = match["letter"]
    if letter in "LD":
        return look_up(letter)
    return {"h": socket.gethostname(), "v": __version__, "d": str(os.getpid()), "%": "%"}[letter]
