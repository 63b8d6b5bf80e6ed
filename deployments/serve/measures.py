"""What Prometheus is told of a service: requests, items, the model that answers, and what went wrong."""

from collections.abc import Iterator
from time import perf_counter
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from deployments.serve.champion import Champion
from deployments.serve.guard import App, Receive, Scope, Send
from deployments.serve.worker import Part

PATHS = {"/predict", "/model", "/metrics", "/health/live", "/health/ready", "/docs", "/openapi.json"}
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Measures:
    """The measures of one service."""

    def __init__(self, champion: Champion) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "matlift_requests", "Requests that were answered.", ["path", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "matlift_request_seconds", "Time to answer.", ["path"], buckets=SECONDS, registry=self._registry
        )
        self._items = Counter(
            "matlift_items",
            "Items in the domain, outside of it, and without a value.",
            ["what"],
            registry=self._registry,
        )
        ProcessCollector(registry=self._registry)
        self._registry.register(_OfChampion(champion))

    def count(self, part: Part) -> None:
        """Count the items of an answer."""
        for what in ("inside", "outside", "bad"):
            self._items.labels(what).inc(getattr(part, what))

    def text(self) -> bytes:
        """Return all measures in the format of Prometheus."""
        return generate_latest(self._registry)

    def measured(self, app: App) -> App:
        """Return an application whose requests are counted and timed."""

        async def measuring(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            start, status = perf_counter(), "none"

            async def sending(message: Any) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = str(message["status"])
                await send(message)

            path = scope["path"] if scope["path"] in PATHS else "other"  # not a series for each path ever asked for
            try:
                await app(scope, receive, sending)
            finally:
                self._requests.labels(path, status).inc()
                self._seconds.labels(path).observe(perf_counter() - start)

        return measuring


class _OfChampion(Collector):
    """What is read off the model in service when it is asked for."""

    def __init__(self, champion: Champion) -> None:
        self._champion = champion

    def collect(self) -> Iterator[Metric]:
        """Yield the measures."""
        champion, model = self._champion, self._champion.model
        yield InfoMetricFamily(
            "matlift_model", "The model that answers.", {name: str(value) for name, value in model.about.items()}
        )
        yield GaugeMetricFamily("matlift_model_loaded_timestamp_seconds", "When it was loaded.", model.since)
        yield GaugeMetricFamily("matlift_requests_waiting", "Requests that wait or are being answered.", model.asking())
        yield GaugeMetricFamily(
            "matlift_champion_trouble",
            "1 if another bundle may have to answer and cannot.",
            champion.trouble is not None,
        )
        for name, what, count in (
            ("changes", "Bundles that took over.", champion.changes),
            ("failures", "Looks for the champion after which none could take over.", champion.failures),
        ):
            yield CounterMetricFamily(f"matlift_champion_{name}", what, count)
