"""Traces: spans that are sent to a collector over OTLP, where one is named."""
