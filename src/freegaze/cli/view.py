"""``freegaze view``: explore a run or a recording in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from freegaze.allocator import return_freed_memory
from freegaze.cli.arguments import Quiet, SourceName, SourceOptions, read_settings
from freegaze.cli.progress import progress_bar
from freegaze.errors import ConfigError


def command(
    path: Annotated[Path, typer.Argument(help="Evaluated run folder, or a recording.")],
    source: SourceName = "auto",
    option: SourceOptions = None,
    port: Annotated[
        int, typer.Option(help="Port on this machine; 0 takes a free one.", min=0, max=65535)
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
    quiet: Quiet = False,
) -> None:
    """Show frames, gaze, behavior and responses on one time line, in the browser.

    Of an evaluated run, predictions, retinal frames and receptive fields are shown too. Of a
    recording, quality flags are shown. The page is served by this machine to itself only. It opens
    by a file with a token for one use, which only you can read.

    For example:

        freegaze view runs/first

        freegaze view data/mouse

        freegaze view runs/first --no-browser --port 8123
    """
    import signal
    import tempfile
    import webbrowser

    from freegaze.view.opening import Explorer

    try:
        from freegaze.view.server import serve
    except ImportError as error:
        raise ConfigError(f"`freegaze view` needs the extra `view` ({error})") from None

    return_freed_memory()
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # ends as Ctrl-C: the folder is removed

    def announce(file: Path, at: int) -> None:
        typer.echo(f"explorer of {path} on port {at} of this machine; Ctrl-C ends it")
        typer.echo(f"open in your browser: {file.as_uri()}")
        if browser:
            webbrowser.open(file.as_uri())

    with tempfile.TemporaryDirectory(prefix="freegaze-view-") as folder:
        scratch = Path(folder)
        with progress_bar(quiet) as progress:
            explorer = Explorer(path, scratch, source, read_settings(option, "--option"), progress)
        with explorer:
            try:
                serve(explorer, scratch / "open.html", port, announce)
            except KeyboardInterrupt:
                typer.echo("explorer closed")
            except OSError as error:
                raise ConfigError(
                    f"cannot listen on port {port}: {error.strerror or error}"
                ) from None
