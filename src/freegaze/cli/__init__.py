"""The command line: one file a verb; each parses, calls one function, prints."""

from __future__ import annotations


def main() -> None:
    """Run the command line; a user's mistake is one line and exit status 2."""
    from freegaze.cli.app import run

    run()
