"""Shared by all tests; being here puts this folder on the path, so that `builders` imports."""

import os
from importlib import import_module

from jaxtyping import install_import_hook

install_import_hook("freegaze", "type_checks.check")  # before anything imports freegaze

MORE = os.environ.get("FREEGAZE_MORE", "")  # ROOM:FOLDER;..., for `contract/test_templates.py`
for room, _, folder in (more.partition(":") for more in MORE.split(";") if more):
    import_module(f"freegaze.{room}").__path__.append(folder)
