"""What Prometheus reads at `GET /metrics`. No text of a request is in it."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "hlx_requests", "Requests by route and status.", ("route", "status"), registry=self._registry
        )
        self.seconds = Histogram(
            "hlx_request_seconds", "Seconds from a request to the end of its answer.", ("route",), buckets=_SECONDS,
            registry=self._registry,
        )  # fmt: skip
        self.tokens = Counter("hlx_tokens_written", "Tokens that the model wrote.", registry=self._registry)
        self._open = Gauge("hlx_texts_open", "Texts that are being written, or wait.", registry=self._registry)
        self._waiting = Gauge("hlx_texts_waiting", "Texts that wait for a slot.", registry=self._registry)
        self._model = Gauge(
            "hlx_model_info", "1 for the model that is served.", ("checkpoint", "verdict", "size"),
            registry=self._registry,
        )  # fmt: skip

    def exposition(self, *, open: int, waiting: int, checkpoint: str, verdict: str, size: str) -> bytes:
        """Return the metrics in Prometheus's text format.

        Args:
            open: texts that are being written, or wait.
            waiting: texts that wait.
            checkpoint: the model that is served.
            verdict: on it.
            size: its size.
        """
        self._open.set(open)
        self._waiting.set(waiting)
        self._model.clear()
        self._model.labels(checkpoint, verdict, size).set(1)
        return generate_latest(self._registry)
