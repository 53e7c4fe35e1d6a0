"""Makes the index of an LDAP directory in a process of its own, and tells as JSON what that took.

`python -m tests.bench.parts.first_index INDEX-URL LDAP-URL CA-FILE`
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from openchange_py.addressbook import migrate
from openchange_py.addressbook.ldap.connection import LdapServers
from openchange_py.addressbook.ldap.directory import LdapDirectory
from openchange_py.cli.serve import settle_memory
from tests.slapd import ADMIN, ADMIN_PASSWORD, BASE


def main(index: str, url: str, ca_file: str) -> None:
    """As `ocpy serve` does when it is started for the first time."""
    settle_memory()
    migrate.upgrade(index)
    servers = LdapServers([url], BASE, ADMIN, ADMIN_PASSWORD, ca_file=Path(ca_file))
    directory = LdapDirectory(servers, index, None)
    began, cpu = time.perf_counter(), time.process_time()
    directory.catch_up()
    took = {
        "seconds": time.perf_counter() - began,
        "cpu": time.process_time() - cpu,
        "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "entries": directory.count(),
    }
    directory.close()
    print(json.dumps(took))


if __name__ == "__main__":
    main(*sys.argv[1:])
