"""Plays conformance scenarios with the drivers of client libraries."""
