"""Pure codecs: bytes <-> typed values. No sockets, no asyncio, no SQL, no LDAP, no clock."""
