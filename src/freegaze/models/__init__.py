"""Encoders: one file each, found by name through ``freegaze.models.encoder.MODELS``."""
