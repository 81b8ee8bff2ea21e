"""Published data: registry, download, unpacking."""
