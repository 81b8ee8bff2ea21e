"""Fitted encoders: save, load, predict."""
