"""Unique contributions of vision and behavior."""
