"""`ocpy hopkey`: the key file of module `encrypt`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from openchange_py.proxy.hop_keys import KeyFileError, new_key, read_keys, write_keys

_FILE = click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))


@click.group("hopkey")
def command() -> None:
    """Make and change the key file that two hops share for module encrypt.

    \b
    The first time, and then the file goes to the other hop by a way that nobody listens to (scp):
      ocpy hopkey create /etc/openchange-py/hop.key
    Another key, without a break, each step at both hops before the next one:
      ocpy hopkey add FILE              at one hop; the file goes to the other
      ocpy hopkey promote FILE ID       the new key is the one for what is sent
      ocpy hopkey drop FILE ID          the old one opens nothing any more

    Running servers read the file again when it changes. Keys are never shown, only their ids.
    """


@command.command("create")
@_FILE
def create(file: Path) -> None:
    """Make FILE with a first key. An existing file is left alone."""
    if file.exists():
        raise click.ClickException(f"{file} exists; `ocpy hopkey add` puts another key into it")
    write_keys(file, dict([new_key({})]))
    _show(file)


@command.command("add")
@_FILE
def add(file: Path) -> None:
    """Put another key into FILE, behind those that are there: it opens what comes, and is not used to send yet."""
    keys = _read(file)
    write_keys(file, keys | dict([new_key(keys)]))
    _show(file)


@command.command("promote")
@_FILE
@click.argument("key_id", metavar="ID")
def promote(file: Path, key_id: str) -> None:
    """Make the key ID the first one of FILE: what is sent is encrypted with it."""
    keys = _read(file)
    chosen = _chosen(file, keys, key_id)
    write_keys(file, {chosen: keys[chosen]} | keys)
    _show(file)


@command.command("drop")
@_FILE
@click.argument("key_id", metavar="ID")
def drop(file: Path, key_id: str) -> None:
    """Take the key ID out of FILE. The last one stays."""
    keys = _read(file)
    chosen = _chosen(file, keys, key_id)
    if len(keys) == 1:
        raise click.ClickException(f"{key_id} is the only key of {file}; add another one first")
    del keys[chosen]
    write_keys(file, keys)
    _show(file)


@command.command("list")
@_FILE
def list_keys(file: Path) -> None:
    """Show the ids of the keys in FILE."""
    _show(file)


def _read(file: Path) -> dict[bytes, bytes]:
    try:
        return read_keys(file)
    except KeyFileError as error:
        print(f"ocpy: error: {error}", file=sys.stderr)
        sys.exit(1)


def _chosen(file: Path, keys: dict[bytes, bytes], key_id: str) -> bytes:
    for known in keys:
        if known.hex() == key_id.lower():
            return known
    raise click.ClickException(f"{file} has no key {key_id}; its keys: {', '.join(known.hex() for known in keys)}")


def _show(file: Path) -> None:
    for number, key_id in enumerate(_read(file)):
        click.echo(f"{key_id.hex()}  {'opens what comes' if number else 'for what is sent'}")
