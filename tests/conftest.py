"""Shared by all tests; being here puts this folder on the path, so that `builders` imports."""

import os
from importlib import import_module

from jaxtyping import install_import_hook

install_import_hook("freegaze", "type_checks.check")  # before anything imports freegaze

if "FREEGAZE_MORE" in os.environ:  # ROOM:FOLDER, for `contract/test_templates.py`
    room, _, folder = os.environ["FREEGAZE_MORE"].partition(":")
    import_module(f"freegaze.{room}").__path__.append(folder)
