"""Shared by all tests; being here puts this folder on the path, so that `builders` imports."""

from jaxtyping import install_import_hook

install_import_hook("freegaze", "type_checks.check")  # before anything imports freegaze
