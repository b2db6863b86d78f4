"""`dsrecords view`: the samples in the browser."""

from __future__ import annotations

import sys

import click

from dsrecords._cli.command import Command
from dsrecords._cli.help import LOOK
from dsrecords._cli.options import view_option

SECTION = LOOK


@click.command(
    cls=Command,
    short_help="the samples in the browser",
    examples=[
        "dsrecords view train.rec",
        "dsrecords view 'train-*.rec' --no-browser",
        "dsrecords view train.rec --step-file batches.json",
        "dsrecords view train.rec --edit",
    ],
)
@click.argument("names", metavar="FILE...", nargs=-1, required=True)
@view_option
@click.option(
    "--step-file",
    metavar="JSON",
    type=click.Path(),
    help="Show the samples of steps: {step: indices}, as loader.indices(step).tolist() gives them.",
)
@click.option("--edit", is_flag=True, help="Let numbers, labels and strings be changed.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="A port; by default a free one."
)
@click.option("--no-browser", is_flag=True, help="Only print the address.")
def command(
    names: tuple[str, ...],
    view: str | None,
    step_file: str | None,
    edit: bool,
    port: int,
    no_browser: bool,
) -> None:
    """Show the samples in the browser, until Ctrl-C.

    A FILE is a data file, a pattern of many in quotes, a folder, a manifest, or a URL whose server
    allows it. The address is the first line that is printed; only this computer can ask for it.
    """
    import dsrecords
    from dsrecords.viewer import serve

    serve(
        names,
        open_dataset=dsrecords.open,
        view=view,
        step_file=step_file,
        edit=edit,
        port=port,
        browser=not no_browser,
        tell=_tell,
    )


def _tell(address: str) -> None:
    sys.stdout.write(address + "\n")
    sys.stdout.flush()
