"""Todos: their schema, their store, and their routes."""
