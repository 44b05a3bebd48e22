"""Figures of a server at work, as Prometheus reads them."""

from collections.abc import Callable

from pellucid.core.optional import optional

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)


class Watch:
    """Counters of one server: requests by path and status, seconds to the answer, samples, batches, what waits."""

    def __init__(self) -> None:
        self._library = optional("prometheus_client", "Serving", "serve")
        self.registry = self._library.CollectorRegistry()
        there = {"registry": self.registry}
        self._requests = self._library.Counter(
            "pellucid_requests", "Requests that were answered", ["path", "status"], **there
        )
        self._seconds = self._library.Histogram(
            "pellucid_request_seconds", "From a request to its answer", ["path"], buckets=SECONDS, **there
        )
        self._rows = self._library.Histogram(
            "pellucid_batch_samples", "Samples that were made at once", buckets=BATCHES, **there
        )
        self._samples = self._library.Counter("pellucid_samples", "Samples that were made", **there)
        self._waiting = self._library.Gauge("pellucid_samples_waiting", "Samples that wait", **there)
        self._drawing = self._library.Gauge("pellucid_samples_drawing", "Samples that are being made", **there)

    def follow(self, waiting: Callable[[], int], drawing: Callable[[], int]) -> None:
        """Look at how many samples wait and are being made when somebody asks."""
        self._waiting.set_function(waiting)
        self._drawing.set_function(drawing)

    def batch(self, rows: int) -> None:
        """Samples were made together."""
        self._rows.observe(rows)
        self._samples.inc(rows)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """A request has its answer."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def text(self) -> tuple[bytes, str]:
        """All figures, and their media type."""
        found: bytes = self._library.generate_latest(self.registry)
        return found, str(self._library.CONTENT_TYPE_LATEST)
