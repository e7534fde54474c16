"""The metrics of the feed and its sockets."""

from serving.watch.registry import Registry


class FeedMetrics:
    """Open sockets, why they were closed, and how often the database was lost."""

    def __init__(self, registry: Registry) -> None:
        self.sockets = registry.gauge("websocket_connections", "Open WebSockets.")
        self.closes = registry.counter(
            "websocket_closes", "WebSockets closed by the service.", "code"
        )
        self.reconnects = registry.counter("feed_reconnects", "Lost LISTEN connections.")
