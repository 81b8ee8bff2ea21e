"""Checks of a recording, their grades, and its summary."""
