"""``freegaze doctor``: check of the installation and of this machine."""

from __future__ import annotations

import platform

import typer

from freegaze.cli.tables import print_nested
from freegaze.errors import ConfigError


def command() -> None:
    """Check the installation and say what this machine can do.

    For example:

        freegaze doctor
    """
    packages = {name: _version(name) for name in _dependencies()}
    print_nested("Packages", packages)
    print_nested("Machine", _machine())
    missing = [name for name, found in packages.items() if found == "missing"]
    if missing:
        raise ConfigError(f"not installed: {', '.join(missing)}; run `pip install freegaze`")
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


def _dependencies() -> list[str]:
    from importlib.metadata import requires

    wanted = [line for line in requires("freegaze") or [] if "extra ==" not in line]
    return sorted(line.partition(">")[0].strip() for line in wanted)


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
