"""Readers of tracked points in files of pose trackers."""
