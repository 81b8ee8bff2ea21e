"""Tracked points as pose trackers write them."""
