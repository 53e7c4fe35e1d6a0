"""Association groups: the connections of one client that share context handles. C706 9.3, [MS-RPCE] 3.3.3.1.1.

One `Session` per group and account: a context handle that one account opened is unknown to every other account,
even where it guessed the group's id.
"""

from __future__ import annotations

import dataclasses
import secrets
from typing import Final

from openchange_py.rpc.call import DEFAULT_HANDLE_LIMIT, Session
from openchange_py.rpc.security import Authority, Identity
from openchange_py.rpc.share import Share

#: Key in `Session.state`: the address of ours that the client reached (without port).
LOCAL_ADDRESS: Final = "local_address"


@dataclasses.dataclass(eq=False, slots=True)
class AssociationGroup:
    """A group with its sessions. `connections` counts who is in it."""

    group_id: int
    transport: str
    peer: str
    connections: int = 0
    handle_limit: int = DEFAULT_HANDLE_LIMIT
    sessions: dict[tuple[str, str, bool], Session] = dataclasses.field(default_factory=dict)

    def session(self, caller: Identity) -> Session:
        """The session of an account in this group, made where there is none yet."""
        # What only the upstream says of a client is not what we know of the account of the same name.
        foreign = caller.authority is Authority.UPSTREAM
        key = (caller.domain.casefold(), caller.account.casefold(), foreign)
        session = self.sessions.get(key)
        if session is None:
            session = self.sessions[key] = Session(self.transport, self.peer, handle_limit=self.handle_limit)
        return session


class AssociationGroups:
    """All groups of one server. Ids are random, so that they can't be guessed from one's own.

    `handle_limit` is for the context handles of a session. Where several processes serve, ids are of this one's
    `share`.
    """

    def __init__(
        self,
        transport: str = "ncacn_ip_tcp",
        *,
        handle_limit: int = DEFAULT_HANDLE_LIMIT,
        share: Share | None = None,
    ) -> None:
        self.transport = transport
        self._share = share or Share()
        self._handle_limit = handle_limit
        self._groups: dict[int, AssociationGroup] = {}

    def __len__(self) -> int:
        return len(self._groups)

    @property
    def session_count(self) -> int:
        """Sessions of all groups; any thread may ask."""
        return sum(len(group.sessions) for group in list(self._groups.values()))

    def elsewhere(self, group_id: int) -> int | None:
        """Which other process has a group, if there is one of that id; None: this one, or it is a new group."""
        return self._share.elsewhere(group_id) if group_id else None

    def join(self, group_id: int, peer: str) -> AssociationGroup | None:
        """Join a group as one more connection; 0 makes a new one. None: no such group."""
        if group_id:
            group = self._groups.get(group_id)
            if group is None:
                return None
        else:
            group = AssociationGroup(self._free_id(), self.transport, peer, handle_limit=self._handle_limit)
            self._groups[group.group_id] = group
        group.connections += 1
        return group

    def leave(self, group: AssociationGroup) -> list[Session]:
        """A connection left; the sessions that ended with it, which is all of them after the last connection."""
        group.connections -= 1
        if group.connections:
            return []
        self._groups.pop(group.group_id, None)
        ended = list(group.sessions.values())
        group.sessions.clear()
        return ended

    def _free_id(self) -> int:
        while True:
            group_id = 1 + secrets.randbelow(0xFFFFFFFE)
            if group_id not in self._groups and self._share.elsewhere(group_id) is None:
                return group_id
