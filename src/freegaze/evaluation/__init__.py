"""Fitted encoders, their predictions, and the table of scores."""
