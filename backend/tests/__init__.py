"""Tests of the todo service, and what they share."""
