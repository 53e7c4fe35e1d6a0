"""What several commands have in common: the configuration, and passwords that never stand on the command line."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

import click

from openchange_py.config import DEFAULT_PATH, ConfigError, Option, Settings, load

F = TypeVar("F", bound=Callable[..., Any])

#: Where the main command keeps its own -c for the subcommands.
CONFIGURATION: Final = "openchange_py.configuration"

_ENVIRONMENT: Final = "OCPY_CONFIG"

#: Bytes; a file without line ends is not read further.
_LONGEST_PASSWORD: Final = 4096


def configuration_path(ctx: click.Context, config: str | None) -> Path:
    """The subcommand's -c, the main command's, the environment's, or the default."""
    return Path(config or ctx.meta.get(CONFIGURATION) or os.environ.get(_ENVIRONMENT) or DEFAULT_PATH)


def load_settings(path: Path) -> Settings:
    """The checked settings of a file, with the options of every installed module; warnings go to standard error."""
    from openchange_py.proxy.loading import plugin_options

    if not path.exists():
        raise ConfigError(f"{path}: there is no such configuration; -c names another one, setup/smb.conf.* are samples")
    settings = load(path, plugin_options(path))
    for warning in settings.warnings:
        click.echo(f"ocpy: warning: {warning}", err=True)
    return settings


def with_settings(function: F) -> F:
    """Give the command a -c option, and the loaded `Settings` as its first argument."""

    @click.option("-c", "--config", metavar="FILE", default=None, help="The smb.conf to use.")
    @click.pass_context
    @functools.wraps(function)
    def command(ctx: click.Context, /, *args: Any, config: str | None, **kwargs: Any) -> Any:
        return function(load_settings(configuration_path(ctx, config)), *args, **kwargs)

    return command  # type: ignore[return-value]  # click's decorators change the signature


def first_line(settings: Settings, option: Option[Any], file: Path) -> str:
    """A password: the first line of a file that an option names; `ConfigError` where there is none."""
    try:
        line = file.read_text("utf-8").split("\n", 1)[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise settings.error(option, f"{file}: {error}") from error
    if not line:
        raise settings.error(option, f"{file}: no password on its first line")
    return line


def password_option(function: F) -> F:
    """Give the command a --password-file option."""
    return click.option(
        "--password-file",
        metavar="FILE",
        default=None,
        help="Read the password from the first line of FILE (- for standard input) instead of asking for it.",
    )(function)


def read_password(password_file: str | None, what: str, *, confirm: bool = False) -> str:
    """From the file, from standard input where that is no terminal, else from a prompt."""
    if password_file not in (None, "-"):
        with open(str(password_file), "rb") as file:
            return _password(file, str(password_file))
    if password_file == "-" or not sys.stdin.isatty():
        return _password(sys.stdin.buffer, "standard input")
    password: str = click.prompt(f"Password of {what}", hide_input=True, confirmation_prompt=confirm, err=True)
    return password


def _password(file: BinaryIO, source: str) -> str:
    """The first line, which must be there and be text: nobody could type anything else later."""
    line = file.readline(_LONGEST_PASSWORD).rstrip(b"\r\n")
    try:
        password = line.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise click.ClickException(f"{source}: the password on its first line is not UTF-8") from None
    if not password:
        raise click.ClickException(f"{source}: no password on its first line")
    return password
