"""A real Postgres server for a while, with an empty database."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from hlx_assets.ui import free_port
from tests.support.programs import program

PASSWORD = "a/b@c:d%e"
"""Characters that an address must escape."""


@contextmanager
def postgres() -> Iterator[str]:
    """Yield the address of a server on a free port, which requires a password; it writes to disk when it likes."""
    binaries, port = Path(program("initdb")).parent, free_port(0)
    # It refuses to run as root, and other users cannot enter pytest's folders.
    become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="hlx-postgres-") as folder:
        data, secret = Path(folder) / "data", Path(folder) / "password"
        secret.write_text(PASSWORD)
        if become:
            for path in (folder, secret):
                shutil.chown(path, "postgres")

        def run(name: str, *arguments: str) -> None:
            command = [*become, str(binaries / name), "--pgdata", str(data), *arguments]
            with (Path(folder) / "output").open("ab") as output:
                subprocess.run(command, cwd="/", stdout=output, stderr=output, check=True)

        run("initdb", "--username=hlx", f"--pwfile={secret}", "--auth=scram-sha-256", "--no-locale", "--encoding=UTF8")
        run("pg_ctl", "start", "--wait", "--options", f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -F")
        try:
            yield f"postgresql://hlx:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "stop", "--wait", "--mode=fast")
