"""Shared by all tests; being here puts this folder on the path, so that `builders` imports."""
