"""The webserver's own rule for the request guard: GraphQL in an address may be a query and nothing else."""

from urllib.parse import quote

import pytest

from hlx_assets.webserver import only_queries
from hlx_model.serving.guard import Scope

WIPE = "mutation { wipeAssets(assetPartitionRanges: []) { __typename } }"


def scope(query: str, path: str = "/graphql", kind: str = "http") -> Scope:
    return {"type": kind, "method": "GET", "path": path, "query_string": query.encode()}


@pytest.mark.parametrize(
    "text",
    [
        "{version}", "query { version }", "query A { version } query B { version }",
        "fragment F on Query { version } {...F}",
        "# mutation\n{ version }",
    ],
)  # fmt: skip
def test_a_query_passes(text: str) -> None:
    assert only_queries(scope(f"query={quote(text)}&variables=%7B%7D")) is None


@pytest.mark.parametrize(
    "query",
    [
        f"query={quote(WIPE)}",
        f"%71uery={quote(WIPE)}",
        f"query={quote('{version}')}&query={quote(WIPE)}",
        f"query={quote(WIPE)}&query={quote('{version}')}",
        f"query={quote('query A {version} ' + WIPE)}&operationName=A",
        f"query={quote('#comment')}%0A{quote(WIPE)}",
        f"query={quote(',,' + WIPE)}",
        f"query={quote('subscription { x }')}",
        "query=nonsense%7B",
        "query=",
        "query=" + "%7Ba" * 3000,
    ],
)
@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "/prefix/graphql"])
def test_anything_else_is_refused(query: str, path: str) -> None:
    assert "may only be a query" in (only_queries(scope(query, path)) or "")


def test_other_addresses_are_not_graphql() -> None:
    assert only_queries(scope("query=mutation", "/runs")) is None
    assert only_queries(scope("", "/graphql")) is None
    assert only_queries(scope(f"query={quote(WIPE)}", kind="websocket")) is None
