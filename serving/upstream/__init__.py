"""Calls of other services: pool, time limits, bounded retries, circuit breaker, bulkhead."""
