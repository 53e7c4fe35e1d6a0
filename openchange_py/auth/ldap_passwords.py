"""NT hashes of accounts from an LDAP directory: `sambaNTPassword`, as Samba's own `ldapsam` keeps it.

Every look-up asks anew, so that a changed password or a disabled account counts at once. It is asked in threads of its
own: one connection each, made when it is needed and made anew when it was lost.
Not done: the domain by the prefix of `sambaSID`; NTLM only, no simple bind as the user.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ldap3.core.results import RESULT_SIZE_LIMIT_EXCEEDED, RESULT_SUCCESS
from ldap3.utils.conv import escape_filter_chars

from openchange_py.addressbook.base import Account, DirectoryError
from openchange_py.addressbook.ldap.connection import LdapServers, close, connect, error_text
from openchange_py.auth import ntlm_crypto

logger = logging.getLogger(__name__)

#: Look-ups at one time.
_THREADS: Final = 4
#: Seconds for each step: connecting, TLS, each answer.
_STEP_SECONDS: Final = 5
#: Seconds that a logon waits for its look-up, whatever happens on the way.
_PATIENCE: Final = 10.0
#: Seconds after a failure in which nobody is asked again, so that a dead directory does not hold up every client.
_RETRY_AFTER: Final = 5.0

_ATTRIBUTES: Final = ("uid", "sambaNTPassword", "sambaAcctFlags", "sambaKickoffTime")
#: The hash of the empty password.
_OF_NO_PASSWORD: Final = ntlm_crypto.nt_hash("")
#: sambaAcctFlags, `[UD         ]`: disabled, or locked out by Samba.
_MAY_NOT_LOG_ON: Final = frozenset("DL")


class LdapPasswords:
    """A `PasswordSource`: the NT hashes of a domain's accounts. The clocks (`clock`: since 1970) are for tests."""

    def __init__(
        self,
        servers: LdapServers,
        workgroup: str,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._servers = servers
        self._workgroup = workgroup
        self._clock = clock
        self._monotonic = monotonic
        self._threads = concurrent.futures.ThreadPoolExecutor(_THREADS, "ldap")
        self._own = threading.local()
        self._open: set[Any] = set()
        self._failed_at: float | None = None
        self._failure = ""

    def complete(self, account: Account) -> Account:
        """See `PasswordSource.complete`. Waits for the directory, at most ten seconds."""
        if self._failed_at is not None and self._monotonic() < self._failed_at + _RETRY_AFTER:
            raise DirectoryError(self._failure)
        future = self._threads.submit(self._look_up, account.name)
        try:
            found = future.result(_PATIENCE)
        except TimeoutError:
            future.cancel()
            raise self._failed(f"no answer within {_PATIENCE:g} s") from None
        self._failed_at = None
        if found is None:
            return account
        return dataclasses.replace(
            account, nt_hash=_nt_hash(account.name, found), enabled=account.enabled and self._may_log_on(found)
        )

    def close(self) -> None:
        """Take no more look-ups, and let go of the connections; one that is in use fails."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for connection in list(self._open):
            close(connection)

    def _failed(self, reason: str) -> DirectoryError:
        self._failure = f"password directory: {reason}"
        self._failed_at = self._monotonic()
        return DirectoryError(self._failure)

    # In the threads of the pool

    def _look_up(self, name: str) -> Mapping[str, Sequence[bytes]] | None:
        """The raw attributes of the account's entry; None where there is none, or not exactly one."""
        reused = getattr(self._own, "connection", None) is not None
        try:
            return self._search(name)
        except Exception as error:  # ldap3 raises its own errors, OSErrors, and on garbage whatever came up
            self._drop()
            if not reused:
                raise self._failed(error_text(error)) from error
        # A kept connection may be long gone: only a fresh one tells that the directory is away.
        return self._look_up(name)

    def _search(self, name: str) -> Mapping[str, Sequence[bytes]] | None:
        connection = self._connection()
        connection.search(
            self._servers.base,
            self._filter(name),
            attributes=list(_ATTRIBUTES),
            size_limit=2,
            time_limit=_STEP_SECONDS,
        )
        if connection.result["result"] not in (RESULT_SUCCESS, RESULT_SIZE_LIMIT_EXCEEDED):
            raise DirectoryError(f"search below {self._servers.base}: {connection.result['description']}")
        entries = [item["raw_attributes"] for item in connection.response or () if item["type"] == "searchResEntry"]
        # The directory compares as its schema says, which takes more for equal than account names are.
        named = [entry for entry in entries if name.casefold() in _texts(entry, "uid")]
        if len(named) > 1:
            logger.error("the password directory has several entries of %.80r below %s", name, self._servers.base)
        return named[0] if len(named) == 1 else None

    def _filter(self, name: str) -> str:
        uid, domain = escape_filter_chars(name), escape_filter_chars(self._workgroup)
        of_our_domain = f"(|(!(sambaDomainName=*))(sambaDomainName={domain}))"
        return f"(&(objectClass=sambaSamAccount)(uid={uid}){of_our_domain})"

    def _connection(self) -> Any:
        """The thread's own, made where there is none."""
        if getattr(self._own, "connection", None) is None:
            self._own.connection = connect(self._servers, _STEP_SECONDS, read_only=True, what="password directory")
            self._open.add(self._own.connection)
        return self._own.connection

    def _drop(self) -> None:
        connection, self._own.connection = getattr(self._own, "connection", None), None
        if connection is not None:
            self._open.discard(connection)
            close(connection)

    def _may_log_on(self, found: Mapping[str, Sequence[bytes]]) -> bool:
        """Neither disabled nor locked nor expired."""
        flags = "".join(_texts(found, "sambaAcctFlags")).upper()
        kickoff = _texts(found, "sambaKickoffTime")
        expired = any(not time.isdecimal() or int(time) <= self._clock() for time in kickoff)
        return not expired and not _MAY_NOT_LOG_ON & set(flags)


def _nt_hash(name: str, found: Mapping[str, Sequence[bytes]]) -> bytes | None:
    """16 bytes, of 32 hexadecimal digits. Samba writes `NO PASSWORD...` where there is none."""
    values = _texts(found, "sambaNTPassword")
    if not values:
        logger.warning("the password directory tells no sambaNTPassword of %.80r: may we read it?", name)
        return None
    try:
        nt_hash = bytes.fromhex(values[0])
    except ValueError:
        return None
    if nt_hash == _OF_NO_PASSWORD:
        logger.warning("the password of %.80r in the password directory is empty: nobody logs on with it", name)
        return None
    return nt_hash if len(nt_hash) == 16 else None


def _texts(found: Mapping[str, Sequence[bytes]], attribute: str) -> list[str]:
    """An attribute's values, without case."""
    return [value.decode("utf-8", "replace").casefold() for value in found.get(attribute, ())]
