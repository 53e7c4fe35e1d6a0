"""A small asynchronous MAPI client: referral, address book and mailboxes of an Exchange-like server."""
