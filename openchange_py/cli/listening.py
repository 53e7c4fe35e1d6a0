"""Why a port cannot be listened on, and what to do about it."""

from __future__ import annotations

import errno
from typing import Any

from openchange_py.config import ConfigError, Option, Settings, declared


def cannot_listen(settings: Settings, option: Option[Any], address: str, port: int, error: OSError) -> ConfigError:
    """The error, and what to do about it."""
    if error.errno == errno.EACCES:
        hint = "a port below 1024 needs root or the capability CAP_NET_BIND_SERVICE"
    elif error.errno == errno.EADDRINUSE:
        hint = (
            "another program (Samba's endpoint mapper, perhaps) has it: give one of both another address "
            f"(`{declared.INTERFACES.name}`, `{declared.BIND_INTERFACES_ONLY.name}`)"
        )
    else:
        hint = error.strerror or str(error)
    return settings.error(
        option, f"can't listen on {address} port {port}: {hint}; or choose another port, or 0 for any"
    )
