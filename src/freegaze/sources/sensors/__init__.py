"""Behavior columns from raw sensors: pure functions of arrays, each with quality numbers."""
