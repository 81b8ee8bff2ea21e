"""Tuning to behavior."""
