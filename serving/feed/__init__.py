"""A change feed over WebSockets: the log of events, who follows it, and its sockets."""
