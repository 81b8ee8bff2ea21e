"""Recordings of the Niell laboratory."""
