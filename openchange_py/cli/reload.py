"""SIGHUP: the configuration is read again, and what can change while the server runs is taken from it.

Modules, listening addresses and databases need a restart; the log names what was changed and is not in force. A
configuration with an error changes nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from openchange_py.cli.logs import start_log
from openchange_py.cli.settings import load_settings
from openchange_py.config import ConfigError, Option, Settings, declared

if TYPE_CHECKING:
    from openchange_py.cli.node import Node

logger = logging.getLogger(__name__)

#: What is in force after SIGHUP. New connections get the limits of one connection, the next one upstream the
#: account and the server.
RELOADED: Final[tuple[Option[Any], ...]] = (
    declared.LOG_LEVEL,
    declared.LOG_FILE,
    declared.LOG_FORMAT,
    declared.LOG_LINES,
    declared.LOGON_FAILURES,
    declared.LOGON_FAILURES_PER_ADDRESS,
    declared.LOGON_PAUSE,
    declared.LONGEST_LOGON_PAUSE,
    declared.LOGON_FAILURE_MEMORY,
    declared.MAX_CONNECTIONS,
    declared.IDLE_TIMEOUT,
    declared.AUTHENTICATION_TIMEOUT,
    declared.MAX_CALL_SIZE,
    declared.MAX_PENDING_SIZE,
    declared.MAX_CONNECTIONS_PER_ADDRESS,
    declared.MAX_PRESENTATION_CONTEXTS,
    declared.MAX_SECURITY_CONTEXTS,
    declared.MINIMUM_AUTH_LEVEL,
    declared.TLS_CERTIFICATE,
    declared.TLS_KEY,
    declared.BINDING,
    declared.USERNAME,
    declared.PASSWORD,
    declared.PASSWORD_FILE,
    declared.DOMAIN,
    declared.CONNECT_TIMEOUT,
)


class Reloader:
    """Reads the configuration of a running node again. `in_force` is what it started with, or took since."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._started = node.settings
        self.in_force = node.settings

    def reload(self) -> bool:
        """Read it and take what can be taken; false where there was an error, and all stays as it was."""
        path = self._started.path
        try:
            settings = load_settings(path)
            start_log(settings)
            self._node.reconfigure(settings)
        except (ConfigError, OSError) as error:
            start_log(self.in_force)
            logger.error("%s is not taken, the configuration before stays in force: %s", path, error)
            return False
        logger.info("%s was read again", path)
        self._tell(settings)
        self.in_force = settings
        return True

    def _tell(self, settings: Settings) -> None:
        """What is different now, and what would be after a restart. Values may be secrets: only names."""
        for option in changed(self.in_force, settings):
            if option in RELOADED:
                logger.info("%s: the new value is in force", option.name)
        for option in changed(self._started, settings):
            if option not in RELOADED:
                logger.warning("%s: the new value needs a restart", option.name)


def changed(before: Settings, after: Settings) -> list[Option[Any]]:
    """The options whose values differ."""
    return [
        option
        for option in after.options.values()
        if option.key not in before.options or before[option] != after[option]
    ]
