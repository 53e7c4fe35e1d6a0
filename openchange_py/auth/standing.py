"""Whether an account that logged on may go on: a session must not outlive by much the right to it.

Asked is the directory, and where its passwords are the password directory; what a domain controller or KDC would say by
now is not known before the next logon.
"""

from __future__ import annotations

import collections
import dataclasses
import logging
import time
from collections.abc import Callable
from typing import Final

from openchange_py.addressbook.base import DirectoryError
from openchange_py.auth.accounts import AccountSource, PasswordSource
from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.rpc.security import Authority, Identity

logger = logging.getLogger(__name__)

#: Seconds in which a refusal is repeated without asking: soon over where an account is enabled again.
_REFUSAL_MEMORY: Final = 5.0
#: Accounts that are remembered; whoever is forgotten is asked about again.
_CAPACITY: Final = 100_000


@dataclasses.dataclass(slots=True)
class _Asked:
    when: float
    good: bool = True


class Standing:
    """Remembers for `interval` seconds what the directory said of each account. `clock` is in seconds, monotonic."""

    def __init__(
        self,
        accounts: AccountSource,
        passwords: PasswordSource | None = None,
        *,
        interval: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._accounts = accounts
        self._passwords = passwords
        self._interval = interval
        self._clock = clock
        self._asked: collections.OrderedDict[str, _Asked] = collections.OrderedDict()

    def is_known(self, caller: Identity) -> bool:
        """Whether the caller may go on, and `check` needs not be asked; called for every call, never blocks."""
        if caller.is_anonymous or caller.authority is Authority.UPSTREAM:
            return True
        asked = self._asked.get(caller.account)
        return asked is not None and asked.good and self._clock() < asked.when + self._interval

    def check(self, caller: Identity) -> None:
        """Ask the directory. Raises `RpcFault` for an account that is gone or may not log on any more; may block.

        Where the directory fails, what it said before is still good.
        """
        before = self._asked.get(caller.account)
        if before is not None and not before.good and self._clock() < before.when + _REFUSAL_MEMORY:
            raise _refusal()
        # While this one is asking, the account's other calls go on as before.
        asked = self._asked[caller.account] = _Asked(self._clock(), before is None or before.good)
        while len(self._asked) > _CAPACITY:
            self._asked.popitem(last=False)
        try:
            asked.good = self._may_log_on(caller.account)
        except DirectoryError as error:
            logger.warning("whether %s may still log on is not known: %s", caller, error)
        if not asked.good:
            logger.warning("a call of %s refused: the account is not in the directory any more, or disabled", caller)
            raise _refusal()

    def _may_log_on(self, name: str) -> bool:
        account = self._accounts.account(name)
        if account is not None and account.nt_hash is None and self._passwords is not None:
            account = self._passwords.complete(account)
        return account is not None and account.enabled


def _refusal() -> RpcFault:
    return RpcFault(FaultStatus.ACCESS_DENIED, "the account may not log on any more")
