"""Opens the directory that a URL names."""

from __future__ import annotations

from openchange_py.addressbook.base import DirectoryError
from openchange_py.addressbook.embedded import EmbeddedDirectory


def open_directory(url: str, organization: str | None = None) -> EmbeddedDirectory:
    """`sqlite:////path/to/file` and `postgresql...://`: the embedded directory. `DirectoryError` for other URLs.

    `organization` is this server's own, where the directory has several. Directories in LDAP need more than a URL:
    `ldap.directory.LdapDirectory`.
    """
    scheme = url.partition(":")[0].casefold()
    dialect = scheme.partition("+")[0]
    if dialect in ("sqlite", "postgresql"):
        return EmbeddedDirectory(url, organization)
    # A URL of whatever kind may have a password in it.
    shown = f"{scheme}://..." if "://" in url else repr(url)
    raise DirectoryError(f"{shown} is no directory: use sqlite:////path/to/file or postgresql://...")
