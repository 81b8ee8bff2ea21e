"""Recordings: the data model and the store."""
