"""Fitting: objective, optimizer, loop, processes."""
