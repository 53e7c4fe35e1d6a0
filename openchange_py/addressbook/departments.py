"""The hierarchical address book: groups that are departments, one of them at the top ([MS-OXOABK] 3.1.4.3.1).

A group with `msOrg-IsOrganizational` is a department, its members that are departments too are below it. The
organization's own entry, `/o=NAME`, names the one at the top: without it clients see no hierarchy.
"""

from __future__ import annotations

from collections.abc import Iterator

from openchange_py.addressbook.attributes import IS_DEPARTMENT, ROOT_DEPARTMENT_LINK, is_department, is_group
from openchange_py.addressbook.base import Directory, DirectoryError, Entry, Kind

#: The attribute that says how high people and departments stand among their neighbours: higher first.
SENIORITY = "msDS-HABSeniorityIndex"

#: As deep as departments are shown.
_DEEPEST = 32


def root(directory: Directory) -> Entry | None:
    """The department at the top of this server's organization; None where there is no hierarchy."""
    top = directory.by_legacy_dn(directory.organization().dn)
    found = directory.lists(top).linked(top, ROOT_DEPARTMENT_LINK, 1) if top is not None else []
    return next(iter(found), None)


def set_root(directory: Directory, group: Entry | None) -> None:
    """Put a group at the top, which makes it a department; None ends the hierarchy. `DirectoryError`."""
    organization = directory.organization()
    if group is not None:
        mark(directory, group, True)
    top = directory.by_legacy_dn(organization.dn)
    if top is None:
        if group is None:
            return
        names = {"cn": [organization.name], "legacyExchangeDN": [organization.dn]}
        top = directory.create(Kind.ORGANIZATION, "", names)
    before = directory.lists(top).linked(top, ROOT_DEPARTMENT_LINK)
    wanted = [group] if group is not None else []
    kept = {one.guid for one in wanted}
    directory.change_links(
        top, ROOT_DEPARTMENT_LINK, add=wanted, remove=[one for one in before if one.guid not in kept]
    )


def mark(directory: Directory, group: Entry, department: bool) -> None:
    """Make a group a department, or an ordinary group again."""
    if not is_group(group):
        raise DirectoryError(f"{group.display_name} is no group")
    directory.modify(group, {IS_DEPARTMENT: ["TRUE"] if department else None})


def tree(directory: Directory, top: Entry) -> Iterator[tuple[int, Entry]]:
    """The departments from one on, each with its depth and behind the one that it is below; none twice."""
    lists, seen = directory.lists(top), {top.guid}

    def below(department: Entry, depth: int) -> Iterator[tuple[int, Entry]]:
        yield depth, department
        for member in sorted(lists.linked(department, "member"), key=_seniority):
            if is_department(member) and member.guid not in seen and depth < _DEEPEST:
                seen.add(member.guid)
                yield from below(member, depth + 1)

    yield from below(top, 0)


def _seniority(entry: Entry) -> int:
    """Higher ones first; the sort is stable, so names decide among equals."""
    text = entry.first(SENIORITY) or ""
    return -int(text) if text.isascii() and text.removeprefix("-").isdigit() else 0
