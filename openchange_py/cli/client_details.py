"""`ocpy client details`: an address book entry in the dialog that the server has for it."""

from __future__ import annotations

import dataclasses
import locale
from typing import Final

import click

from openchange_py.cli.client_options import ConnectionOptions, connection_options, run_profile
from openchange_py.cli.client_output import printable, show_fields, show_json
from openchange_py.cli.client_reading import json_option
from openchange_py.client.details import Page
from openchange_py.client.details import details as read_details
from openchange_py.client.profile import Profile

#: LCIDs by locale name, `de_DE`, and by language, `de`: the first that has it.
_LOCALES: Final = {
    **{name.partition("_")[0].casefold(): known for known, name in sorted(locale.windows_locale.items(), reverse=True)},
    **{name.casefold(): known for known, name in locale.windows_locale.items()},
}


def _locale_id(_context: click.Context, _parameter: click.Parameter, value: str) -> int:
    """The LCID of a locale by name."""
    found = _LOCALES.get(value.replace("-", "_").casefold())
    if found is None:
        raise click.BadParameter(f"{value!r} is no locale such as de or de_AT")
    return found


@click.command("details")
@click.argument("name")
@click.option("--locale", "locale_id", metavar="NAME", default="en_US", callback=_locale_id, help="In which language.")
@json_option
@connection_options
def details(options: ConnectionOptions, name: str, locale_id: int, as_json: bool) -> None:
    """Show all that the address book's details dialog has about NAME, page by page.

    \b
      ocpy client details bob
      ocpy client details staff --locale de
    """

    async def work(profile: Profile) -> list[Page]:
        return await read_details(await profile.address_book(), name, locale_id)

    pages = run_profile(options, work)
    if as_json:
        show_json([dataclasses.asdict(page) for page in pages])
        return
    for number, page in enumerate(pages):
        click.echo(("\n" if number else "") + printable(page.title).upper())
        fields = [(field.label or box.title, ", ".join(field.lines)) for box in page.boxes for field in box.fields]
        show_fields(fields)
