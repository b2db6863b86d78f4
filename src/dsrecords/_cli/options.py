"""Arguments and options that several commands have, and what they open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from dsrecords._cli.encoded import as_bytes, types_of

if TYPE_CHECKING:
    from dsrecords.dataset import IndexedRecordDataset

file_argument = click.argument(
    "path",
    metavar="FILE",
    type=click.Path(),
)
files_argument = click.argument(
    "paths",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(),
)
view_option = click.option(
    "--view",
    metavar="VIEW.idx",
    type=click.Path(),
    help="Show the records of this saved view.",
)
json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON.",
)
skip_option = click.option(
    "--skip-errors",
    is_flag=True,
    help="Leave out records that cannot be read.",
)
overwrite_option = click.option(
    "--overwrite",
    is_flag=True,
    help="Replace a file of this kind that is there.",
)


def _complete_fields(
    ctx: click.Context,
    param: click.Parameter,
    incomplete: str,
) -> list[CompletionItem]:
    """Return the fields of the file that the line names, for the shell."""
    paths = ctx.params.get("paths") or ctx.args  # `args` as long as an option lacks its value
    path = ctx.params.get("path")
    if path is not None:
        paths = [path]
    try:
        fields = open_dataset(paths).fields
    except (OSError, ValueError, LookupError):  # nothing can be said while a line is typed
        return []
    names = map(str, fields)
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


fields_option = click.option(
    "-f",
    "--field",
    "fields",
    multiple=True,
    metavar="NAME",
    shell_complete=_complete_fields,
    help="Only this field; can be given again.",
)


def open_dataset(
    paths: Sequence[Any],
    view: str | None = None,
    **options: Any,
) -> IndexedRecordDataset:
    """Open what a command line names: several files are one dataset.

    Args:
        paths: of data files, patterns, folders or manifests.
        view: path of a saved view.
        options: of `dsrecords.open`.
    """
    import dsrecords

    what: Any = paths[0]
    if len(paths) > 1:
        what = list(paths)
    return dsrecords.open(what, index_path=view, **options)


def open_undecoded(
    paths: Sequence[Any],
    view: str | None = None,
    **options: Any,
) -> IndexedRecordDataset:
    """Open what a command line names, so that images, sounds and videos are read as bytes."""
    dataset = open_dataset(paths, view, **options)
    decode = as_bytes(types_of(dataset.schema))
    if not decode:
        return dataset
    return open_dataset(paths, view, decode=decode, **options)


def on_error(skip_errors: bool) -> Any:
    """Return what `dsrecords.open` takes as `on_error`."""
    if skip_errors:
        return "skip"
    return "raise"


def field_keys(dataset: IndexedRecordDataset, names: Sequence[str]) -> list[Any]:
    """Return fields as the dataset knows them: without names they are positions.

    Raises:
        UsageError: there is no such field.
    """
    known = dataset.fields
    keys: list[Any] = []
    for name in names:
        key: Any = name
        if not isinstance(dataset.schema, dict) and name.lstrip("-").isdecimal():
            key = int(name)
        if key not in known:
            fields = ", ".join(map(str, known))
            raise click.UsageError(f"no field {name!r}: a sample has {fields}")
        keys.append(key)
    return keys
