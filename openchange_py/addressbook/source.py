"""Opens the directory that a URL names."""

from __future__ import annotations

from openchange_py.addressbook.base import Directory, DirectoryError
from openchange_py.addressbook.embedded import EmbeddedDirectory


def open_directory(url: str) -> Directory:
    """`sqlite:////path/to/file` and `postgresql...://`: the embedded directory. `DirectoryError` for other URLs."""
    scheme = url.partition(":")[0].casefold()
    dialect = scheme.partition("+")[0]
    if dialect in ("sqlite", "postgresql"):
        return EmbeddedDirectory(url)
    if scheme in ("ldap", "ldaps", "ldapi"):
        raise DirectoryError(f"{scheme}: directories in LDAP are not there yet; use sqlite: or postgresql:")
    # A URL of whatever kind may have a password in it.
    shown = f"{scheme}://..." if "://" in url else repr(url)
    raise DirectoryError(f"{shown} is no directory: use sqlite:////path/to/file or postgresql://...")
