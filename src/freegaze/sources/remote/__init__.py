"""Reading of the needed parts of files on web servers."""
