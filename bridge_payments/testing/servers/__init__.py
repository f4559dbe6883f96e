"""Database servers of a test run's own: from installed binaries, in a folder that goes with them.

None of them ever meets a server that it did not start, unless the environment names one.
"""

from __future__ import annotations

from .mysql import MySQL, mariadb_binary, mysql_binary, running_mariadb, running_mysql
from .pgbouncer import pgbouncer_binary, running_pgbouncer
from .postgres import Postgres, postgres_binaries, running_postgres
from .private import ServerMissing
from .sqld import Sqld, running_sqld, sqld_binary

__all__ = [
    "MySQL",
    "Postgres",
    "ServerMissing",
    "Sqld",
    "mariadb_binary",
    "mysql_binary",
    "pgbouncer_binary",
    "postgres_binaries",
    "running_mariadb",
    "running_mysql",
    "running_pgbouncer",
    "running_postgres",
    "running_sqld",
    "sqld_binary",
]
