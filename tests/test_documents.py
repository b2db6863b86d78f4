"""Every Python block of README.md and docs/*.md runs: the blocks of a page in order, as one script in a new folder.

The folder is empty but for `photos/`, with `cat.jpg`, `dog.png` and `bird.webp`, and `clips/steps.mp4`. Two comments direct what happens, each
on the line before a block:

- `<!-- no-test: reason -->`: the Python block after it is not run.
- `<!-- output -->`: the text block after it is what the Python block before it prints.

A page that says `<!-- large: torch, jax -->` needs these modules, which `make test-all` installs. It is run by that alone, or where they
are there anyway. Warnings of its own lines are errors, those within packages of others are not.
"""

import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

import dsrecords
from dsrecords import io

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PAGES = [
    page for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))] if page.is_file()
]
MARK = "\x1e"  # printed after each block, to tell whose output is whose


class Block(NamedTuple):
    language: str
    first: int  # index of its first line in the page
    lines: list[str]
    comment: str  # what stands in the HTML comment before it


def blocks_of(page: str) -> list[Block]:
    blocks, opening, comment = [], None, ""
    lines = page.splitlines()
    for number, line in enumerate(lines):
        if opening is None:
            if match := re.match(r"( *)(```+|~~~+) *([\w+-]*)", line):
                opening, indent, fence, language = number, match[1], match[2], match[3]
            elif line.strip():
                match = re.fullmatch(r"<!-- (.*) -->", line.strip())
                comment = match[1] if match else ""
                if re.match(
                    "no.?test|output|large", comment
                ):  # a directive with a slip in it must not pass for a remark
                    assert re.fullmatch("no-test: .+|output|large: .+", comment), line
        elif line.strip() == fence:
            inner = [text.removeprefix(indent) for text in lines[opening + 1 : number]]
            blocks.append(Block(language.lower(), opening + 1, inner, comment))
            opening, comment = None, ""
    assert opening is None, f"the block of line {opening + 1} has no end"
    return blocks


def large_modules(page: str) -> list[str]:
    """The modules that a page needs, and that only `make test-all` installs."""
    match = re.search(r"^<!-- large: (.+) -->$", page, re.MULTILINE)
    return match[1].split(", ") if match else []


def runs(block: Block) -> bool:
    return block.language in ("py", "python", "python3") and not block.comment.startswith("no-test")


def script_of(page: str) -> tuple[str, list[list[str] | None]]:
    """The page as a script whose lines have the page's numbers, and what each block must print (None: anything)."""
    blocks = blocks_of(page)
    script = [""] * (len(page.splitlines()) + 1)
    printed: list[list[str] | None] = []
    for before, block in zip([None, *blocks], blocks, strict=False):
        if block.comment == "output":
            assert before and runs(before), f"line {block.first}: output of what?"
            printed[-1] = block.lines
        elif runs(block):
            script[block.first : block.first + len(block.lines)] = block.lines
            script[block.first + len(block.lines)] = f"print({MARK!r}, flush=True)"
            printed.append(None)
    return "\n".join(script), printed


def run(page: str, folder: Path) -> None:
    """Run a page's blocks in a folder; AssertionError if one fails or prints something else than the page says."""
    clips = folder / "clips"
    clips.mkdir()
    shutil.copy(ROOT / "tests" / "golden" / "pictures" / "three.mp4", clips / "steps.mp4")
    photos = folder / "photos"
    photos.mkdir()
    for number, name in enumerate(["cat.jpg", "dog.png", "bird.webp"]):
        Image.linear_gradient("L").resize((32 + 8 * number, 24)).convert("RGB").save(photos / name)
    script, expected = script_of(page)
    # A file, not exec: functions of the page can be pickled, and a traceback shows the page's own line numbers.
    path = folder.parent / f"{folder.name}.py"
    path.write_text(script, encoding="utf-8")
    whose = "error:::__main__" if large_modules(page) else "error"
    command = [sys.executable, "-W", whose, "-X", "utf8", path]
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=3000,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    printed = [text.splitlines() for text in done.stdout.split(MARK + "\n")]
    assert len(printed) == len(expected) + 1, "a block ended the script"
    for there, wanted in zip(printed, expected, strict=False):
        if wanted is not None:
            assert [line.rstrip() for line in there] == [line.rstrip() for line in wanted]


def parameter(page: Path):
    is_large = large_modules(page.read_text(encoding="utf-8"))
    return pytest.param(page, id=page.name, marks=pytest.mark.large if is_large else ())


@pytest.mark.parametrize("page", [parameter(page) for page in PAGES])
def test_examples_of_the_page_run(page, tmp_path):
    text = page.read_text(encoding="utf-8")
    missing = [name for name in large_modules(text) if importlib.util.find_spec(name) is None]
    if missing and not os.environ.get("DSRECORDS_TEST_LARGE"):
        pytest.skip(f"there is no {missing[0]}: `make test-all` installs it")
    folder = tmp_path / "page"
    folder.mkdir()
    run(text, folder)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_the_page_lead_to_files(page):
    text = "\n".join(
        re.sub(r"`[^`]*`", "", line) for line in prose_of(page.read_text(encoding="utf-8"))
    )
    targets = [
        target for target in re.findall(r"\]\(([^)\s#]+)", text) if not re.match(r"[a-z]+:", target)
    ]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def code_of_all_pages() -> str:
    """What the pages say in code: the blocks that run, and what stands between backticks."""
    pages = [page.read_text(encoding="utf-8") for page in PAGES]
    blocks = ["\n".join(block.lines) for page in pages for block in blocks_of(page)]
    return "\n".join(
        blocks + [piece for page in pages for piece in re.findall(r"`([^`\n]+)`", page)]
    )


def test_the_pages_show_each_name_that_is_public():
    code = code_of_all_pages()
    names = [*dsrecords.__all__, *(name for name in io.__all__ if not name.startswith("dump_"))]
    names += [
        name
        for name in dir(dsrecords.IndexedRecordDataset)
        if name[0] != "_" and name not in ("count", "index")
    ]
    assert [name for name in names if not re.search(rf"\b{name}\b", code)] == []


def test_the_page_of_the_api_has_each_public_name():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^::: dsrecords\.(\w+)$", page, re.MULTILINE))
    errors = {name for name in dir(dsrecords.errors) if name.endswith("Error")}
    assert set(dsrecords.__all__) - errors - shown - {"native"} == set()


METHODS = [
    value
    for name, value in inspect.getmembers(dsrecords.IndexedRecordDataset, inspect.isfunction)
    if name[0] != "_" and value.__module__.startswith("dsrecords")
]


@pytest.mark.parametrize(
    "function",
    [
        dsrecords.open,
        dsrecords.make_dataset,
        dsrecords.IndexedRecordDataset,
        dsrecords.repair,
        dsrecords.upgrade,
        *METHODS,
    ],
    ids=lambda function: function.__qualname__,
)
def test_the_pages_show_each_option(function):
    code = code_of_all_pages()
    parameters = inspect.signature(function).parameters.values()
    arguments = [one.name for one in parameters if one.default is not inspect.Parameter.empty]
    assert [name for name in arguments if not re.search(rf"\b{name}\b", code)] == []


def prose_of(page: str) -> list[str]:
    lines = page.splitlines()
    for block in blocks_of(page):
        lines[block.first : block.first + len(block.lines)] = [""] * len(block.lines)
    return lines


PAGE = """
# A page

```python
from pathlib import Path
names = sorted(path.name for path in Path("photos").iterdir())
```

Text between, and a shell command.

```sh
exit 1
```

- In a list:

  ```python
  for name in names:
      print(name)
  ```
  <!-- output -->
  ```text
  bird.webp
  cat.jpg
  dog.png
  ```

<!-- no-test: it does not exist -->
```python
raise SystemExit("not run")
```

```python
names.append("another")
```
"""


class TestThisRunner:
    @pytest.fixture
    def folder(self, tmp_path):
        (tmp_path / "page").mkdir()
        return tmp_path / "page"

    def test_blocks_share_names_and_a_folder_with_photos(self, folder):
        run(PAGE, folder)
        for name, form in {"cat.jpg": "JPEG", "dog.png": "PNG", "bird.webp": "WEBP"}.items():
            with Image.open(folder / "photos" / name) as image:
                assert image.format == form

    def test_other_output_fails(self, folder):
        with pytest.raises(AssertionError, match=r"mouse\.png"):
            run(PAGE.replace("  dog.png", "  mouse.png"), folder)

    def test_failing_block_fails_with_the_line_of_the_page(self, folder):
        page = PAGE.replace('names.append("another")', "undefined")
        line = page.splitlines().index("undefined") + 1
        with pytest.raises(AssertionError, match=rf"line {line}\b(.|\n)*NameError"):
            run(page, folder)

    def test_warning_fails(self, folder):
        page = PAGE.replace(
            'names.append("another")', "import warnings; warnings.warn('old', DeprecationWarning)"
        )
        with pytest.raises(AssertionError, match="DeprecationWarning"):
            run(page, folder)

    def test_block_that_ends_the_script_early_fails(self, folder):
        with pytest.raises(AssertionError, match="ended the script"):
            run(PAGE.replace('names.append("another")', "raise SystemExit"), folder)

    def test_a_large_page_fails_at_its_own_warnings_alone(self, folder):
        lines = ["import warnings", "warnings.warn('of another')"]
        (folder.parent / "other.py").write_text("\n".join(lines))
        calls = "import other\nwarn = __import__('warnings').warn\n"
        page = f"<!-- large: math, other -->\n```python\n{calls}```\n"
        assert large_modules(page) == ["math", "other"] and large_modules(PAGE) == []
        run(page, folder)
        (folder / "clips").rename(folder.parent / "old clips")
        (folder / "photos").rename(folder.parent / "old photos")
        with pytest.raises(AssertionError, match="UserWarning: of the page"):
            run(page.replace(calls, calls + "warn('of the page')\n"), folder)

    @pytest.mark.parametrize(
        "slip",
        ["<!-- no-test -->", "<!-- notest: reason -->", "<!-- outputs -->", "<!-- large -->"],
    )
    def test_misspelt_directive_fails(self, slip):
        with pytest.raises(AssertionError):
            blocks_of(f"{slip}\n```python\n1\n```\n")

    def test_output_without_a_block_that_prints_it_fails(self):
        with pytest.raises(AssertionError, match="output of what"):
            script_of("<!-- output -->\n```text\n1\n```\n")

    def test_block_without_an_end_fails(self):
        with pytest.raises(AssertionError, match="no end"):
            blocks_of("```python\n1\n")
