"""`ocpy provision`: directory, organization and mailbox database, as smb.conf names them."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from typing import Any, Final

import click

from openchange_py.addressbook.base import Organization
from openchange_py.addressbook.provisioning import (
    Done,
    Provisioner,
    State,
    Wanted,
    deprovision,
    examine,
    ldif,
    provision,
)
from openchange_py.cli.directory import in_ldap, open_directory
from openchange_py.cli.progress import ProgressBar
from openchange_py.cli.provisioner import check_name, open_provisioner, shown
from openchange_py.cli.settings import password_option, read_password, with_settings
from openchange_py.config import Settings, declared
from openchange_py.store import migrate as mailbox_tables

_MODES: Final = ("openchangedb", "check", "dry_run", "deprovision")


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """What is to be done with which directory."""

    provisioner: Provisioner
    wanted: Wanted
    where: str
    as_json: bool

    @property
    def name(self) -> str:
        """The organization as clients name it."""
        return self.wanted.organization.dn_prefix

    def tell(self, steps: Sequence[Done], **more: Any) -> None:
        """All of it as JSON."""
        listed = [
            {
                "group": done.step.group,
                "title": done.step.title,
                "state": done.finding.state.value,
                "detail": done.finding.detail,
            }
            for done in steps
        ]
        told = {"organization": self.name, "server": self.wanted.server, "directory": self.where, "steps": listed}
        click.echo(json.dumps({**told, **more}, indent=2))


@click.command("provision")
@click.option("--openchangedb", is_flag=True, help="The mailbox database alone: create it, or bring it up to date.")
@click.option("--check", is_flag=True, help="Change nothing; say what is missing. Exit code 0: nothing; 1: something.")
@click.option("--dry-run", is_flag=True, help="Change nothing; print as LDIF what would be changed in the directory.")
@click.option("--additional", is_flag=True, help="Add this server to the organization, which is there already.")
@click.option("--deprovision", is_flag=True, help="Take this server out, and the organization with its last server.")
@click.option("--yes", is_flag=True, help="With --deprovision: do not ask.")
@click.option("--bind-dn", metavar="NAME", help="LDAP: as whom, in place of `ldap admin dn`; asks for a password.")
@click.option("--json", "as_json", is_flag=True, help="Tell as JSON what was found and done.")
@password_option
@with_settings
def command(settings: Settings, password_file: str | None, bind_dn: str | None, **given: Any) -> None:
    """Set up the directory, the Exchange organization in it, the mailbox database, and a certificate for HTTPS.

    All names come from smb.conf: `ocpy:directory`, `ocpy:database`, `ocpy:organization`, `ocpy:administrative group`,
    `netbios name`, `ocpy:fqdn`, `ocpy:tls certificate`, `ocpy:tls key`. Safe to repeat: what is there already is kept,
    what is older is brought up to date, and what was broken off goes on where it stopped.

    In Active Directory and OpenLDAP (`ocpy:directory = ldaps://HOST`) it extends the schema with Exchange's attributes
    and classes, which stays for ever, and makes the organization as Exchange does. First see what it would do:

    \b
      ocpy provision --check
      ocpy provision --dry-run > changes.ldif
      ocpy provision --bind-dn administrator@example.test

    An Exchange organization that something else made is never changed. With `--additional` this server is added to it,
    in entries of its own, as it is to an organization of this program's:

    \b
      ocpy provision --additional

    What each kind of directory needs first: docs/operation.md, "Directories: provisioning".
    """
    modes = [name for name in _MODES if given[name]]
    if len(modes) > 1 or (given["additional"] and modes and modes[0] in ("openchangedb", "deprovision")):
        raise click.UsageError("--openchangedb, --check, --dry-run and --deprovision do not go together")
    if "openchangedb" in modes:
        _prepare(settings)
        _mailbox_database(settings)
        return
    bind = (bind_dn, read_password(password_file, bind_dn)) if bind_dn else None
    wanted = _wanted(settings, given["additional"])
    with closing(open_provisioner(settings, wanted, bind)) as provisioner:
        job = Job(provisioner, wanted, shown(settings[declared.DIRECTORY]), given["as_json"])
        if "check" in modes:
            _check(job)
        elif "dry_run" in modes:
            _dry_run(job)
        elif "deprovision" in modes:
            _deprovision(job, given["yes"])
        else:
            _provision(settings, job)


def _wanted(settings: Settings, additional: bool) -> Wanted:
    organization = Organization(settings[declared.ORGANIZATION], settings[declared.ADMINISTRATIVE_GROUP])
    for option, name in (
        (declared.ORGANIZATION, organization.name),
        (declared.ADMINISTRATIVE_GROUP, organization.administrative_group),
    ):
        check_name(settings, option, name)
    return Wanted(organization, settings[declared.NETBIOS_NAME], settings[declared.FQDN], additional)


def _prepare(settings: Settings) -> None:
    settings[declared.DATA_DIRECTORY].mkdir(mode=0o700, parents=True, exist_ok=True)


def _provision(settings: Settings, job: Job) -> None:
    _prepare(settings)
    with ProgressBar("Directory") as bar:
        steps = job.provisioner.plan()
        done = provision(steps, lambda number, total, step: bar(number, total, f"{step.group}: {step.title}"))
    if job.as_json:
        job.tell(done, changed=sum(one.changed for one in done))
    else:
        _summary(done)
        outcome = "created" if any(one.changed for one in done) else "there already"
        click.echo(f"Organization {job.name}: {outcome}, in {job.where}")
    if in_ldap(settings):
        # What was made is in the index from now on, and whoever is there with it.
        with closing(open_directory(settings)) as directory:
            directory.catch_up()
    # Imported only here: cryptography's X.509 takes a while to load.
    from openchange_py.cli.certificate import provision_certificate

    certificate = provision_certificate(settings)
    if not job.as_json:
        click.echo(certificate)
    _mailbox_database(settings, quiet=job.as_json)


def _mailbox_database(settings: Settings, *, quiet: bool = False) -> None:
    revision = mailbox_tables.upgrade(settings[declared.DATABASE])
    if not quiet:
        click.echo(f"Mailbox database {shown(settings[declared.DATABASE])}: revision {revision}")


def _summary(done: Sequence[Done]) -> None:
    """What was made, where it is more than a person can count; and what was left alone."""
    made = Counter(one.step.group for one in done if one.changed)
    for group, total in Counter(one.step.group for one in done).items():
        if total > 1:
            click.echo(f"{group}: {made[group]} made, {total - made[group]} there already")
    for one in done:
        if one.finding.state is State.FOREIGN:
            click.echo(f"{one.step.group}: {one.step.title} is left alone: {one.finding.detail}", err=True)


def _check(job: Job) -> None:
    found = list(examine(job.provisioner.plan()))
    wanting = [one for one in found if one.finding.state is not State.PRESENT]
    if job.as_json:
        job.tell(found, complete=not wanting)
    else:
        for one in wanting:
            detail = f" ({one.finding.detail})" if one.finding.detail else ""
            click.echo(f"{one.finding.state}: {one.step.group}: {one.step.title}{detail}")
        click.echo(f"{len(found) - len(wanting)} of {len(found)} are there, in {job.where}")
    if wanting:
        raise SystemExit(1)


def _dry_run(job: Job) -> None:
    steps = job.provisioner.plan()
    text = ldif(steps)
    if job.as_json:
        job.tell(list(examine(steps)), ldif=text)
    else:
        click.echo(text or "# Nothing is to be done", nl=not text)


def _deprovision(job: Job, yes: bool) -> None:
    removal = job.provisioner.removal()
    if not yes:
        click.confirm(f"Remove {removal.what} from {job.where}? Mailboxes stay", abort=True, err=True)
    with ProgressBar("Directory") as bar:
        looked_at = deprovision(removal.steps, lambda number, total, step: bar(number, total, step.title))
    left = [(step, why) for step, why in looked_at if why]
    if job.as_json:
        entries = [{"group": step.group, "title": step.title, "why": why} for step, why in left]
        told = {"organization": job.name, "server": job.wanted.server, "directory": job.where}
        click.echo(json.dumps({**told, "removed": len(looked_at) - len(left), "left": entries, "stays": removal.stays}))
        return
    click.echo(f"{len(looked_at) - len(left)} of {len(looked_at)} are gone, from {job.where}")
    for step, why in left:
        click.echo(f"{step.group}: {step.title} stays: {why}")
    for line in removal.stays:
        click.echo(line)
