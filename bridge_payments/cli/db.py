"""bridge-payments db: bring the schema to this release, or look at it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from ..stores.base import Store
from .application import add_app_option, open_store
from .console import FAILED, OK, add_json_option, execute, show, show_one

if TYPE_CHECKING:
    from ..stores.sql import SQLStore

__all__ = ["HELP", "configure", "run"]

HELP = "the database's schema: upgrade, current, check, sql"

_DIALECTS = ("postgresql", "mysql", "mariadb", "sqlite")


def configure(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="upgrade|current|check|sql")
    upgrade = actions.add_parser(
        "upgrade", help="bring it to this release; safe from several machines at once"
    )
    current = actions.add_parser("current", help="which version it has, and which one this release needs")
    check = actions.add_parser("check", help="whether it is reachable, of the right version and unchanged")
    sql = actions.add_parser("sql", help="print the statements, for whoever applies them by hand")
    sql.add_argument("--dialect", required=True, choices=_DIALECTS)
    for action in (upgrade, current, check):
        add_app_option(action)
        add_json_option(action)


def run(arguments: Namespace) -> int:
    actions = {"upgrade": _upgrade, "current": _current, "check": _check, "sql": _sql}
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
    show_one({"database": found, "this release": HEAD}, as_json=arguments.json)
    return OK if found == HEAD else FAILED


async def _check(arguments: Namespace) -> int:
    async with open_store(arguments) as store:
        await store.check()
        differences = await _sql_store(store).differences()
    show([{"difference": text} for text in differences], as_json=arguments.json, empty="as it should be")
    return FAILED if differences else OK


async def _sql(arguments: Namespace) -> int:
    from ..stores.sql import offline_sql

    print(offline_sql(arguments.dialect), flush=True)
    return OK


def _sql_store(store: Store) -> SQLStore:
    from ..stores.sql import SQLStore

    if not isinstance(store, SQLStore):
        raise ConfigurationError("this bridge remembers nothing in a database: there is no schema")
    return store
