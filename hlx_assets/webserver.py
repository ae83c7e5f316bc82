"""Dagster's UI behind the request guard: `python -m hlx_assets.webserver`.

Dagster's own webserver executes a mutation that any web page sends by GET or as plain text. `make ui` and the
container `webserver` start this program instead of `dagster-webserver`.
"""

import argparse
import logging
from pathlib import Path

import uvicorn
from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.datastructures import QueryParams

from hlx_assets.common import exit_with_one_line
from hlx_assets.dagster_internals import webserver
from hlx_assets.home import open_home, shipped_file
from hlx_model.serving.guard import GuardSettings, RequestGuard, Scope

GRACE_SECONDS = 5
"""Seconds that open connections have when the server ends."""


def only_queries(scope: Scope) -> str | None:
    """Return why GraphQL in an address is refused; None for a query. An image on any page can send an address."""
    if scope["type"] != "http" or not scope["path"].rstrip("/").endswith("/graphql"):
        return None
    for name, text in QueryParams(scope["query_string"]).multi_items():
        if name == "query" and not _is_query(text):
            return "GraphQL in an address may only be a query: send anything else by POST, as application/json"
    return None


def _is_query(text: str) -> bool:
    try:
        definitions = parse(text).definitions
    except (GraphQLError, RecursionError):
        return False
    operations = [found for found in definitions if isinstance(found, OperationDefinitionNode)]
    return all(operation.operation == OperationType.QUERY for operation in operations)


def serve(workspace: Path, host: str, port: int, *, read_only: bool) -> None:
    """Serve the UI of a workspace until a signal ends the process.

    Raises:
        ValueError: a setting of the guard is wrong, or strangers could reach the server.
    """
    settings = GuardSettings.from_environment().listening_on(host)
    # What started this program has reported on the home.
    with open_home(report=False) as instance, webserver(instance, workspace, read_only=read_only) as app:
        guarded = RequestGuard(app, settings, only_queries)
        uvicorn.run(guarded, host=host, port=port, log_level="warning", timeout_graceful_shutdown=GRACE_SECONDS)


def main() -> None:
    """Serve the workspace that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m hlx_assets.webserver", description=__doc__, add_help=False)
    parser.add_argument("--help", action="help", help="show this text")
    workspace = shipped_file("workspace.yaml", "workspace.yaml")
    parser.add_argument("-w", "--workspace", type=Path, default=workspace, help="a workspace file of Dagster")
    parser.add_argument("-h", "--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("-p", "--port", type=int, default=3000, help="port to listen on (3000)")
    parser.add_argument("--read-only", action="store_true", help="show everything, but start and change nothing")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    with exit_with_one_line():
        serve(arguments.workspace, arguments.host, arguments.port, read_only=arguments.read_only)


if __name__ == "__main__":
    main()
