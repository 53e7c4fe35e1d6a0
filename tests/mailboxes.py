"""Attributes of accounts with a mailbox, as `ocpy newuser` gives them, in one line."""

from __future__ import annotations

from openchange_py.addressbook.base import AttributeValue, Organization
from openchange_py.addressbook.recipients import USER_MAILBOX, recipient_attributes


def exchange_attributes(
    organization: Organization, server: str, account: str, mail: str, display_name: str
) -> dict[str, list[AttributeValue]]:
    """A user's, whose mailbox is on `server`."""
    return recipient_attributes(organization, USER_MAILBOX, account, mail, display_name, server=server)
