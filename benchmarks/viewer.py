"""The viewer in Chromium, over ten million records of 10 KB: first screen, scrolling, memory, bytes fetched.

python benchmarks/viewer.py [--records 10000000] [--screens 60] [--data FOLDER]

Needs `chromium`, and the packages playwright, starlette and uvicorn. The data file is sparse: of its 100 GB, the first 4,096
records and the last one are written; the index is whole (480 MB). Times are those of the page itself (`performance.now()`, from
the navigation on); tasks are what Chromium calls long (50 ms and more, on the main thread); memory is the proportional set size
of the renderer's process. Run it while the machine does nothing else: it prints the load.
"""

import argparse
import io
import json
import os
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from zlib import crc32

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "src"))

import bytes_by_hand  # noqa: E402

PAYLOAD = 10_000  # bytes of each picture
HEAD = 40
FRAME = HEAD + PAYLOAD
ROW = 8 + HEAD
PICTURES = 64  # different ones
WRITTEN = 4096  # records whose pictures are in the file
STEP = 500_000
SALT = 7
CONTENTS = {
    "fields": [
        {"name": "image", "type": "jpeg", "payload": 0},
        {"name": "label", "type": "int64", "at": 32},
    ],
    "head": HEAD,
    "metadata": {},
}
ROWS = np.dtype([("at", "<u8"), ("check", "<u4"), ("head", f"V{HEAD - 4}")])
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Runs before the page: when the first pictures were there, and which tasks were long.
WATCH = """
window.longTasks = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) longTasks.push(entry.duration);
}).observe({ type: "longtask", buffered: true });
window.areShown = () => {
  const images = [...document.querySelectorAll(".tile img")];
  return images.length >= 12 && images.every((image) => image.complete && image.naturalWidth > 0);
};
window.untilShown = () => new Promise((resolve) => {
  const look = () => (areShown() ? resolve(performance.now()) : requestAnimationFrame(look));
  requestAnimationFrame(look);
});
window.whenShown = untilShown();
"""


def pictures() -> list[bytes]:
    """JPEGs of 256 × 192, each filled up to PAYLOAD bytes."""
    made = []
    y, x = np.mgrid[0:192, 0:256]
    for k in range(PICTURES):
        waves = [
            np.sin(x / (9 + k % 7) + k),
            np.cos(y / (11 + k % 5) - k),
            np.sin((x + y) / 23 + k),
        ]
        pixels = np.stack([128 + 90 * wave for wave in waves], -1).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=80)
        assert len(file.getvalue()) <= PAYLOAD
        made.append(file.getvalue().ljust(PAYLOAD, b"\0"))
    return made


def write(path: Path, count: int) -> None:
    """Write the sparse `.rec`, and its `.idx`."""
    log = bytes_by_hand.Log(CONTENTS)
    start = len(log.data)
    payloads = pictures()
    word = FRAME | bytes_by_hand.RECORD << 48 | bytes_by_hand.MARK << 56
    heads = []
    for k, payload in enumerate(payloads):
        sizes = struct.pack("<QI4xq", PAYLOAD, crc32(payload), k)
        heads.append(struct.pack("<IQ", 0, word) + sizes)
    checks = np.array([crc32(bytes_by_hand.ID + head) for head in heads], np.uint32)

    def check_of(i: int) -> int:
        at = start + FRAME * i
        return int(checks[i % PICTURES]) ^ (at // 8 & 0xFFFFFFFF)

    with path.open("wb") as rec:
        rec.write(log.data)
        for i in [*range(min(WRITTEN, count)), count - 1]:
            rec.seek(start + FRAME * i)
            k = i % PICTURES
            rec.write(struct.pack("<I", check_of(i)) + heads[k] + payloads[k])
        end = rec.tell()
    table = np.frombuffer(b"".join(heads), f"V{HEAD - 4}")
    with path.with_suffix(".idx").open("wb") as idx:
        facts = {
            "count": count,
            "covered": end,
            "end": end,
            "last": end - FRAME,
            "check": check_of(count - 1),
        }
        slot = bytes_by_hand.slot(base=8192 + start, row=ROW, salt=SALT, **facts)
        idx.write(slot.ljust(8192, b"\0") + log.data)
        for first in range(0, count, STEP):
            i = np.arange(first, min(first + STEP, count), dtype=np.uint64)
            rows = np.empty(len(i), ROWS)
            rows["at"] = start + FRAME * i
            mixed = i.astype(np.uint32) * np.uint32(0x9E3779B1) ^ np.uint32(SALT)
            rows["check"] = checks[i % PICTURES] ^ (rows["at"] // 8).astype(np.uint32) ^ mixed
            rows["head"] = table[i % PICTURES]
            idx.write(rows.tobytes())


def renderer_memory(browser) -> int:
    """Bytes of the largest renderer, as the system counts them."""
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    found = []
    for process in processes:
        if process["type"] == "renderer":
            text = Path(f"/proc/{process['id']}/smaps_rollup").read_text()
            line = next(line for line in text.splitlines() if line.startswith("Pss:"))
            found.append(1024 * int(line.split()[1]))
    return max(found)


def screens_of(page, number: int) -> None:
    """Scroll by so many screens, each of which is waited for."""
    box = page.locator("#list").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for _ in range(number):
        page.mouse.wheel(0, box["height"])
        page.wait_for_timeout(30)
        page.evaluate("untilShown()")


def look(browser, address: str, screens: int) -> dict[str, float]:
    """What one page measures."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(600_000)
    page.add_init_script(WATCH)
    fetched: list[tuple[str, int]] = []
    page.on(
        "response", lambda one: fetched.append((one.url, int(one.headers.get("content-length", 0))))
    )
    page.goto(address)
    first = page.evaluate("whenShown")
    page.wait_for_timeout(300)
    found = {"first_ms": first, "tiles": page.locator(".tile img").count()}
    found["rec_bytes"] = sum(length for url, length in fetched if url.endswith(".rec"))
    found["idx_bytes"] = sum(length for url, length in fetched if url.endswith(".idx"))
    page.evaluate("longTasks.length = 0")
    screens_of(page, screens)
    tasks = page.evaluate("longTasks")
    found["long_tasks"] = len(tasks)
    found["longest_ms"] = max(tasks, default=0)
    found["memory"] = renderer_memory(browser)
    page.evaluate("longTasks.length = 0")
    page.click("#about")
    started = page.evaluate("performance.now()")
    page.locator("#fields section", has_text="int64").get_by_role("button").click()
    page.locator(".fact").first.wait_for()
    found["count_ms"] = page.evaluate("performance.now()") - started
    found["count_longest_ms"] = max(page.evaluate("longTasks"), default=0)
    found["count_memory"] = renderer_memory(browser)
    page.close()
    return found


def main() -> None:
    """Write the file, look at it some times, print the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--screens", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path)
    arguments = parser.parse_args()
    from playwright.sync_api import sync_playwright

    folder = arguments.data or Path(tempfile.mkdtemp(prefix="dsrecords-viewer-"))
    folder.mkdir(exist_ok=True)
    path = folder / "many.rec"
    if not path.exists():
        write(path, arguments.records)
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r})\nfrom dsrecords._cli.main import script\nsys.exit(script())"
    command = [sys.executable, "-c", code, "view", str(path), "--no-browser"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    address = server.stdout.readline().strip()
    rounds = []
    try:
        with sync_playwright() as playwright:
            for _ in range(arguments.rounds):
                browser = playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=QUIET
                )
                version = browser.version
                rounds.append(look(browser, address, arguments.screens))
                browser.close()
                print(json.dumps(rounds[-1]), flush=True)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()
        if arguments.data is None:
            shutil.rmtree(folder)
    load = os.getloadavg()[0]
    print(
        f"Chromium {version}, {os.cpu_count()} cores, load {load:.1f}, {arguments.records:,} records\n"
    )
    print("| what | median of the rounds | least |\n| --- | --- | --- |")
    print(row("first pictures on the screen", rounds, "first_ms", 1000, "s", 2))
    print(row("bytes of the data fetched for them", rounds, "rec_bytes", 1000, "kB"))
    print(row("bytes of the index fetched for them", rounds, "idx_bytes", 1000, "kB"))
    print(
        row(
            f"{arguments.screens} scrolled screens: the longest task", rounds, "longest_ms", 1, "ms"
        )
    )
    print(row("memory of the page after that", rounds, "memory", 10**6, "MB"))
    print(row("counting the values of a field of all records", rounds, "count_ms", 1000, "s"))
    print(row("the longest task of that", rounds, "count_longest_ms", 1, "ms"))
    print(row("memory of the page after that", rounds, "count_memory", 10**6, "MB"))
    print(
        f"\n{rounds[0]['tiles']} pictures of {PAYLOAD:,} bytes are on the first screen, or close to it."
    )


def row(
    what: str, rounds: list[dict[str, float]], key: str, unit: int, name: str, digits: int = 0
) -> str:
    """A row of the table."""
    values = [one[key] / unit for one in rounds]
    return f"| {what} | {statistics.median(values):.{digits}f} {name} | {min(values):.{digits}f} {name} |"


if __name__ == "__main__":
    main()
