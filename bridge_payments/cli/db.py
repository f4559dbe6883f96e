"""bridge-payments db: bring the schema to this release, or look at it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from ..errors import ConfigurationError, StoreError
from ..models import utc_now
from ..stores.base import Store
from .application import add_app_option, open_store
from .console import FAILED, OK, add_json_option, execute, show, show_one

if TYPE_CHECKING:
    from ..stores.sql import SQLStore

__all__ = ["HELP", "configure", "run"]

HELP = "the database's schema: upgrade, current, check, sql, partitions"

_DIALECTS = ("postgresql", "mysql", "mariadb", "sqlite", "libsql")


def configure(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(
        dest="action", required=True, metavar="upgrade|current|check|sql|partitions"
    )
    upgrade = actions.add_parser(
        "upgrade", help="bring it to this release; safe from several machines at once"
    )
    current = actions.add_parser("current", help="which version it has, and which one this release needs")
    check = actions.add_parser(
        "check", help="whether it is reachable, of the right version and unchanged, and its rows fit together"
    )
    sql = actions.add_parser("sql", help="print the statements, for whoever applies them by hand")
    sql.add_argument("--dialect", required=True, choices=_DIALECTS)
    sql.add_argument(
        "--from", dest="start", metavar="VERSION", help="what the database has, as `current` says"
    )
    sql.add_argument("--to", dest="end", metavar="VERSION", help="instead of this release's")
    partitions = actions.add_parser("partitions", help="print the statements that partition it by month")
    partitions.add_argument(
        "--dialect",
        choices=_DIALECTS[:3],
        help="for tables that have none; without it, the database is asked",
    )
    partitions.add_argument("--months", type=_months, default=12, help="how many, this one included")
    for action in (upgrade, current, check):
        add_json_option(action)
    for action in (upgrade, current, check, partitions):
        add_app_option(action)


def run(arguments: Namespace) -> int:
    actions = {
        "upgrade": _upgrade,
        "current": _current,
        "check": _check,
        "sql": _sql,
        "partitions": _partitions,
    }
    return execute(actions[arguments.action](arguments))


async def _upgrade(arguments: Namespace) -> int:
    async with open_store(arguments) as store:
        await store.upgrade()
        await store.check()
    return await _current(arguments)


async def _current(arguments: Namespace) -> int:
    from ..stores.sql import HEAD

    async with open_store(arguments) as store:
        found = await _sql_store(store).version()
        try:
            await store.check()
        except StoreError:
            usable = False
        else:
            usable = True  # of its own version, or of a newer one that says so
    show_one({"database": found, "this release": HEAD, "usable": usable}, as_json=arguments.json)
    return OK if usable else FAILED


async def _check(arguments: Namespace) -> int:
    async with open_store(arguments) as store:
        await store.check()
        differences = await _sql_store(store).differences()
        found = [] if differences else await _sql_store(store).integrity()
    rows = [{"where": "schema", "row": "", "what": text} for text in differences]
    rows += [{"where": each.table, "row": each.row, "what": each.what} for each in found]
    show(rows, as_json=arguments.json, empty="as it should be")
    return FAILED if rows else OK


async def _sql(arguments: Namespace) -> int:
    from ..stores.sql import HEAD, offline_sql

    dialect = "sqlite" if arguments.dialect == "libsql" else arguments.dialect
    print(offline_sql(dialect, start=arguments.start, end=arguments.end or HEAD), flush=True)
    return OK


async def _partitions(arguments: Namespace) -> int:
    from ..stores.sql.partitions import partition_sql

    if arguments.dialect:
        text = partition_sql(arguments.dialect, since=utc_now(), months=arguments.months)
    else:
        async with open_store(arguments) as store:
            text = await _sql_store(store).partitions(months=arguments.months)
    print(text, end="", flush=True)
    return OK


def _months(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 600:
        raise ValueError(text)
    return number


def _sql_store(store: Store) -> SQLStore:
    from ..stores.sql import SQLStore

    if not isinstance(store, SQLStore):
        raise ConfigurationError("this bridge remembers nothing in a database: there is no schema")
    return store
