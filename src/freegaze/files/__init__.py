"""Reading of files that may be malicious, and complete writing of files and folders."""
