"""`ocpy`: finds the subcommand, and turns what goes wrong into one line and an exit code.

Exit codes: 0 done, 1 could not be done (the line on standard error says why), 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import importlib
import logging
import sys
from typing import Final

import click
from click.shell_completion import CompletionItem

from openchange_py import __version__
from openchange_py.cli.settings import CONFIGURATION

#: Subcommands: the module that each lives in, which is imported when the command is run, and its line in `ocpy --help`.
COMMANDS: Final = {
    "access": ("access", "Show or change who, besides USER, has full access to USER's mailbox."),
    "cache": ("cache", "Show, prune or clear what the module `cache` keeps."),
    "client": (
        "client",
        "Log on to a server as a user: look up people, list folders and messages, read, save and delete mail.",
    ),
    "completion": ("completion", "Print the completion script for SHELL."),
    "contact": ("contact", "Make, change and remove CONTACT, who has no account here and gets mail elsewhere."),
    "deliver": (
        "deliver",
        "Deliver the Internet message on standard input to USER, an account or one of its mail addresses.",
    ),
    "departments": ("departments", "Show or change the departments that clients find people by."),
    "group": ("group", "Make, change, show and remove the distribution list GROUP."),
    "hopkey": ("hopkey", "Make and change the key file that two hops share for module encrypt."),
    "import": ("import_", "Import mail into USER's mailbox."),
    "modules": ("modules", "List the modules that calls can pass through, loaded or not, with their options."),
    "newuser": ("newuser", "Make, change and remove the account USER and its mailbox."),
    "provision": (
        "provision",
        "Set up the directory, the Exchange organization in it, the mailbox database, and a certificate for HTTPS.",
    ),
    "quickstart": ("quickstart", "Set up two nodes on this machine, and serve until Ctrl-C."),
    "replay": ("replay", "Send the calls of a recording to a server, and compare its answers with the recorded ones."),
    "serve": ("serve", "Serve the configured interfaces until SIGTERM, SIGINT or Ctrl-C."),
    "stats": ("stats", "Show what a running server's module `stats` counted since its start: calls, ROPs and users."),
    "status": ("status", "Show how the directory is: its entries, and how far an index is behind a directory in LDAP."),
    "testparm": ("testparm", "Check the configuration, and show what it means."),
}


def expected_errors() -> tuple[type[BaseException], ...]:
    """Errors whose text is meant for the person at the terminal. Imported when there is an error to be told."""
    from openchange_py.addressbook.base import DirectoryError
    from openchange_py.config import ConfigError
    from openchange_py.mime.parser import ImportRefused
    from openchange_py.proxy.stack import ModuleError
    from openchange_py.proxy.streamcache.index import CacheError
    from openchange_py.store.base import StoreError

    return CacheError, ConfigError, DirectoryError, ImportRefused, ModuleError, StoreError, OSError


class LazyGroup(click.Group):
    """Imports a subcommand only when it is run or described, so that `ocpy --help` and completion are quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"openchange_py.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=COMMANDS[name][1]) for name in names]
        # The options, without what click.Group adds to them: it would import every command for its help.
        return commands + click.Command.shell_complete(self, ctx, incomplete)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", "-V", prog_name="ocpy")
@click.option("-c", "--config", "config", metavar="FILE", default=None, help="The smb.conf to use, for every command.")
@click.option("-v", "--verbose", count=True, help="Log more to standard error; twice for everything.")
@click.pass_context
def ocpy(ctx: click.Context, config: str | None, verbose: int) -> None:
    """A server and proxy for the Exchange RPC protocols: mailboxes and address book for Outlook and other MAPI clients.

    \b
    To set up a server of your own:
      ocpy provision                    directory, organization and database
      ocpy newuser --create alice --mail alice@example.test
      ocpy newuser --mailbox alice
      ocpy testparm                     what would be served, and from where
      ocpy serve                        in the foreground

    The configuration is an smb.conf, /etc/openchange-py/smb.conf unless -c or the environment variable OCPY_CONFIG
    names another one.
    """
    ctx.meta[CONFIGURATION] = config
    level = logging.WARNING - 10 * min(verbose, 2)
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")


def main() -> None:
    """The entry point of the console script."""
    try:
        status = ocpy.main(prog_name="ocpy", standalone_mode=False)
    except click.exceptions.Abort:
        print("ocpy: interrupted", file=sys.stderr)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:
        if not isinstance(error, expected_errors()):
            raise
        print(f"ocpy: error: {describe(error)}", file=sys.stderr)
        sys.exit(1)
    sys.exit(status if isinstance(status, int) else 0)


def describe(error: BaseException) -> str:
    """An expected error in words; an operating system's one with the file it is about."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__
