"""`ocpy replay`: a recording sent to a server as a client would, and what differs in its answers."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from openchange_py.cli.client_options import ConnectionOptions, connection_options, run
from openchange_py.cli.client_output import printable, show_json
from openchange_py.cli.replaying import Replayed, Replayer
from openchange_py.client.connection import Connector
from openchange_py.client.profile import Profile, dn_of
from openchange_py.proxy.recording import Recording, RecordingError, read_recording


@click.command("replay")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--all", "show_all", is_flag=True, help="Show calls that agree, too.")
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON.")
@connection_options
def command(options: ConnectionOptions, file: Path, show_all: bool, as_json: bool) -> None:
    """Send the calls of a recording to a server, and compare its answers with the recorded ones.

    \b
      ocpy replay session.jsonl.gz --server exch1.example.test --user alice
      ocpy replay session.jsonl --endpoints /run/ocpy.json --user alice --json

    The recording is one of the module `record`, with or without names and contents. Handles, ids, and whose mailbox
    it is are this server's and --user's. What is compared are faults and ReturnValues, ROP by ROP. Calls that write
    are sent like the others: replay into a mailbox that is there for it.

    Exit codes: 0 every answer agrees, 1 some differ, or the server can't be reached, 2 wrong usage.
    """
    try:
        recording = read_recording(file)
    except RecordingError as error:
        raise click.ClickException(str(error)) from error
    done = run(lambda: _replay(options.connector(), recording))
    if as_json:
        show_json(_as_json(recording, done))
    else:
        _show(recording, done, show_all)
    if any(one.differences for one in done) or not any(one.agrees for one in done):
        raise click.exceptions.Exit(1)


async def _replay(connector: Connector, recording: Recording) -> list[Replayed]:
    async with Profile(connector) as profile:
        user_dn = dn_of(await profile.me())
    return await Replayer(connector, user_dn, recording).run()


def _show(recording: Recording, done: list[Replayed], show_all: bool) -> None:
    for one in done:
        where = f"call {one.number} (session {one.session}, {one.call})"
        if one.left_out and show_all:
            click.echo(f"{where}: left out: {printable(one.left_out)}")
        elif one.agrees and show_all:
            click.echo(f"{where}: agrees")
        for difference in one.differences:
            click.echo(f"{where}: {printable(difference)}")
    counts = _counts(recording, done)
    click.echo(
        f"{counts['calls']} calls: {counts['agree']} agree, {counts['differ']} differ, {counts['left_out']} left out"
    )


def _counts(recording: Recording, done: list[Replayed]) -> dict[str, int]:
    return {
        "calls": len(done) + recording.left_out,
        "agree": sum(one.agrees for one in done),
        "differ": sum(bool(one.differences) for one in done),
        "left_out": sum(bool(one.left_out) for one in done) + recording.left_out,
    }


def _as_json(recording: Recording, done: list[Replayed]) -> dict[str, object]:
    results = [{**dataclasses.asdict(one), "agrees": one.agrees} for one in done]
    return {**_counts(recording, done), "results": results}
