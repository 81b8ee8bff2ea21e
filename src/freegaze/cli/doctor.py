"""``freegaze doctor``: check of the installation and of this machine."""

from __future__ import annotations

import platform
import re

import typer

from freegaze.cli.tables import print_nested
from freegaze.errors import ConfigError


def command() -> None:
    """Check the installation: required packages, optional extras, the machine.

    For example:

        freegaze doctor
    """
    by_extra = _dependencies()
    packages = {name: _version(name) for name in by_extra.pop("")}
    print_nested("Packages", packages)
    extras = {
        f"{extra} (pip install '.[{extra}]')": {name: _version(name) for name in names}
        for extra, names in by_extra.items()
    }
    print_nested("Extras", extras)
    print_nested("Machine", _machine())
    missing = [name for name, found in packages.items() if found == "missing"]
    if missing:
        raise ConfigError(f"not installed: {', '.join(missing)}; run `pip install .` again")
    typer.echo("all good")


def _machine() -> dict[str, object]:
    import torch

    a = torch.ones(8, 8, dtype=torch.bfloat16)
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "vector instructions": torch.backends.cpu.get_cpu_capability(),
        "bfloat16 product": bool((a @ a).float().sum() == 512),
    }


def _dependencies() -> dict[str, list[str]]:
    """Return the required packages under ``""``, and those of each extra for users."""
    from importlib.metadata import requires

    found: dict[str, list[str]] = {"": []}
    for line in sorted(requires("freegaze") or []):
        wanted, _, marker = line.partition(";")
        extra = marker.partition("extra ==")[2].strip(" '\"")
        if extra != "dev":
            found.setdefault(extra, []).append(re.split(r"[^\w.-]", wanted.strip())[0])
    return found


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
