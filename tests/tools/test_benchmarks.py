"""The benchmarks' own parts: what is asked, what is judged, what is drawn. Nothing here looks at a clock."""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
try:
    import chart
    import goals
    import growth
    import growth_cells
    import growth_chart
    import report
    import run
    import worker
    from peers import PEERS
    from questions import READS, WRITES
    from workloads import WORKLOADS
finally:
    sys.path.remove(str(BENCHMARKS))

HERE_INSTALLED = ("ours", "ours_tuples", "memmap", "limit")  # peers that need no package but NumPy
QUESTIONS = {question.key: question for question in (*READS, *WRITES)}


@pytest.fixture(autouse=True)
def _adapters(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr("os.sync", lambda: None)


def answers(rate, again=None, cpu=1e-6):
    """One round of a question."""
    answer = {"records": 1000, "seconds": 1000 / rate, "cpu": 1000 * cpu, "faults": 0}
    answer.update(peak=0, own=0, views=False, opened=0.0, resident=1.0, payload=1, size=1)
    if again:
        answer["again"] = {**answer, "seconds": 1000 / again}
    return [answer]


def results_of(rates):
    """What a run would have found: every peer at the rates given, for every question."""
    found = {"reads": {}, "writes": {}}
    for question in READS:
        found["reads"][question.key] = {
            name: answers(rate, again=rate * 2 if question.again else None)
            for name, rate in rates.items()
        }
    for question in WRITES:
        found["writes"][question.key] = {name: answers(rate) for name, rate in rates.items()}
    facts = {"typed": True, "versions": {"numpy": "2"}, "imports": [0.1]}
    return {
        **found,
        "quick": False,
        "date": "2026-11-27T00:00:00",
        "settings": {
            "rounds": 1,
            "write_rounds": 1,
            "cold_rounds": 1,
            "budget": 0.3,
            "cold_budget": 2.0,
            "counts": dict.fromkeys(WORKLOADS, 1000),
        },
        "machine": {"processor": "a processor", "cores": "2"},
        "peers": {name: {**facts, "title": name} for name in rates},
        "problems": [],
        "check": {"bytes": 5e9, "check": [[2.0, 2.0]], "bare": [[1.0, 1.0]]},
    }


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("peer", HERE_INSTALLED)
def test_an_adapter_returns_what_it_stored(peer, workload, tmp_path):
    asked = worker.Worker(peer)
    verbs = dict.fromkeys(question.verb for question in WRITES if question.workload == workload)
    wrote = False
    for verb in verbs:
        try:
            cost = asked.do_write(workload, 70, verb, str(tmp_path / "data"))
        except worker.NotSupportedError:
            continue
        assert cost["records"] == 70
        wrote = True
    if not wrote:
        assert peer == "ours_tuples"
        return
    # What limit calls owned is a view of memory that it uses again: its values alone are compared.
    checked = asked.do_check(workload, 70, str(tmp_path / "data"))["checked"]
    assert checked


def test_a_take_asks_for_as_many_as_it_says_and_never_for_one_twice():
    store = worker.Worker("ours").kind("texts", WORKLOADS["texts"].fields, Path())
    chunks = worker._chunks(store, 1000, (20, 50), 1, (0.0, 0.5), 1 << 40)
    assert all(20 <= len(chunk) <= 50 for chunk in chunks)
    assert {len(chunk) for chunk in chunks} != {20}
    joined = np.concatenate(chunks)
    assert len(joined) == len(np.unique(joined)) <= 500
    fixed = worker._chunks(store, 1000, (64, 64), 1, (0.0, 1.0), 128)
    assert [len(chunk) for chunk in fixed] == [64, 64, 64]


def test_every_question_has_a_row_or_a_column_of_the_page():
    shown = {key for matrix in report.MATRICES for _, key in matrix.columns}
    assert shown == set(QUESTIONS)
    assert {goal.question for goal in goals.GOALS} <= set(QUESTIONS)
    named = {goal.against for goal in goals.GOALS} - {goals.BEST, goals.RATE}
    assert named <= set(goals.AIMED) <= set(PEERS)
    assert all(goal.bound for goal in goals.GOALS)


def test_the_page_says_what_was_met_and_what_bounds_the_rest():
    rates = {"ours": 2e6, "ours_tuples": 2e6, "bagz": 1e6, "lmdb": 1e6, "hf": 1e6, "h5py": 1e6}
    page = report.page(results_of({**rates, "mds": 1e6, "limit": 4e6, "memmap": 3e6}))
    assert "| a sample of three numbers, dict " in page
    assert "**2.00 ×** | **2.00 ×**" in page  # 1.2 and 1.3 were aimed at
    missed = next(
        line for line in page.splitlines() if line.startswith("| batches of 256, numbers  ")
    )
    assert "6.00 ×" in missed
    assert "**" not in missed
    assert "*batches of 256, numbers*: " in page.replace("; batches of 256, numbers*", "")
    assert "`check()` of 5.0 GB" in page
    assert "0.50 ×" in page  # of a bare checksum
    assert "(1 µs)" in page


def test_the_aims_of_another_machine_stand_beside_the_run():
    rates = dict.fromkeys(goals.AIMED, 1000000.0)
    full = results_of(rates)
    other = results_of({**rates, "ours": 2e6})
    other["machine"] = {
        "cores": 16,
        "processor": "a faster one",
        "memory": "9 GiB",
        "filesystem": "xfs",
        "python": "3.12",
    }
    page = report.page(full, other)
    assert "another run" in page
    assert "16 cores of a faster one" in page
    row = next(
        line for line in page.splitlines() if line.startswith("| a sample of three numbers, dict")
    )
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[4] == "1.00 ×"
    assert cells[6] == "**2.00 ×**"
    assert "another run" not in report.page(full)


def test_no_format_is_never_the_best_peer():
    results = results_of({"ours": 1e6, "bagz": 1e6, "lmdb": 2e6, "limit": 9e6, "memmap": 8e6})
    assert goals.best_of(goals.medians(results, "small/get")) == "lmdb"
    assert report.fastest(goals.medians(results, "small/get")) == "lmdb"
    goal = next(goal for goal in goals.GOALS if goal.against == goals.BEST)
    assert goals.measured(goal, results) == pytest.approx(0.5)
    assert goals.measured(goals.Goal("", "small/append", goals.RATE, 1.0), results) == 1e6


def test_a_run_of_few_peers_makes_a_page_and_a_picture():
    results = results_of({"ours": 1e6, "bagz": 2e6})
    del results["check"]
    results["reads"] = {"small/get": results["reads"]["small/get"]}
    results["writes"] = {}
    page = report.page(results)
    assert "From a cold disk" not in page
    assert "Single records" in page
    ElementTree.fromstring(chart.draw(results))


def test_the_command_line_knows_all_peers_and_workloads():
    options = run.parse(["--quick", "--peers", "ours,lmdb1", "--workloads", "strings,texts"])
    assert options.peers == ["ours", "lmdb1"]
    assert options.workloads == ["strings", "texts"]
    with pytest.raises(SystemExit):
        run.parse(["--peers", "nobody"])


# Growth: what is swept, what is a cliff.


def test_what_is_swept_reaches_from_end_to_end():
    swept = {axis.name: (axis.sizes[0], axis.sizes[-1]) for axis in growth.axes(10**8)}
    assert swept["rows"] == (1_000, 100_000_000)
    assert swept["records"] == (1_000, 10_000_000)
    assert swept["numbers"] == (1, 1_000)
    assert swept["payloads"] == (1, 100)
    assert swept["head"] == (24, 4096)
    assert swept["batch"] == (1, 65_536)
    assert swept["threads"] == swept["forks"] == (1, 16)
    assert any(axis.everywhere for axis in growth.axes(1000))
    assert {name for axis in growth.axes(1000) for name in axis.operations} == set(
        growth_cells.OPERATIONS
    )


def test_a_cell_of_a_head_has_a_head_of_so_many_bytes(tmp_path):
    import dsrecords

    for size in (24, 32, 64, 4096):
        path = tmp_path / f"{size}.rec"
        dsrecords.IndexedRecordDataset(
            path, schema=growth_cells.Cell(head=size).schema(), create=True
        ).close()
        header = path.read_bytes()[40:4096].partition(b"\0")[0]
        assert (
            json.loads(
                header if header.endswith(b"}") else path.read_bytes()[40:].partition(b"\0")[0]
            )["head"]
            == size
        )


@pytest.mark.parametrize("operation", growth_cells.OPERATIONS)
def test_each_operation_does_something_that_is_counted(operation, tmp_path):
    cell = growth_cells.Cell(records=200, batch=16, threads=2, forks=2)
    dataset = growth_cells.Dataset(cell, tmp_path)
    dataset.verify()
    assert growth_cells.OPERATIONS[operation](dataset) > 0
    dataset.reader.close()


def test_cliffs_are_peaks_and_steps_and_nothing_else():
    sizes = [1, 10, 100, 1000, 10_000]
    assert growth.cliffs(sizes, [10, 10, 10, 10, 10], 0.1) == []
    assert growth.cliffs(sizes, [10, 10, 25, 10, 10], 0.1) == [2]  # a peak
    assert growth.cliffs(sizes, [10, 10, 10, 90, 90], 0.1) == [3]  # a step
    assert growth.cliffs(sizes, [10, 10, 10, 10, 90], 0.1) == [4]  # one at the end
    assert growth.cliffs(sizes, [1, 10, 100, 1000, 10_000], 1.1) == []  # what the axis allows
    assert growth.cliffs(sizes, [0.1, 0.1, 0.5, 0.1, 0.1], 0.1) == []  # too small to tell


def test_growth_is_the_exponent_of_the_upper_half():
    assert growth.growth([1, 10, 100, 1000], [5, 5, 5, 50]) == pytest.approx(1.0)
    assert growth.growth([1, 10, 100, 1000], [5, 9, 9, 9]) == pytest.approx(0.0)


def test_what_is_wrong_is_said_by_operation_size_and_place():
    axis = growth.Axis("records", (1, 10, 100, 1000), {"get": growth_cells.get}, 0.2)
    costs = {"get": [5.0, 5.0, 5.0, 80.0]}
    memory = {"get": {1: {"pss": 0, "own": 0}, 1000: {"pss": 1 << 30, "own": 1 << 30}}}
    wrong = growth.judged(axis, {"sizes": axis.sizes, "costs": costs, "memory": memory})
    assert wrong[0] == "get at 1,000 records: 80 µs"
    assert "grows with records" in wrong[1]
    assert "leaves 1074 MB" in wrong[2]
    here = {"sizes": axis.sizes, "costs": {"get": [5.0] * 4}}
    there = {"sizes": axis.sizes[:2], "costs": {"get": [5.0, 50.0]}}
    assert growth.beside(axis, here, there, "tmpfs") == [
        "get at 10 records on tmpfs: 10.0 times as much"
    ]


def test_an_axis_is_measured_and_drawn(tmp_path):
    others = {"records": 300}
    axis = growth.Axis("batch", (1, 16), {"batch": growth_cells.batch}, 0.1, others=others)
    found = growth.measured(axis, tmp_path)
    assert found["sizes"] == [1, 16]
    assert len(found["costs"]["batch"]) == 2
    assert not list(tmp_path.iterdir())  # what was written is removed


def figures():
    """What growth.py writes, with made-up costs."""
    written = {}
    for axis in growth.axes(10**8):
        sizes = list(axis.sizes)
        found = {"sizes": sizes, "costs": {name: [2.0] * len(sizes) for name in axis.operations}}
        if axis.memory:
            used = {"pss": 5_000_000, "own": 1_000_000}
            tens = [size for size in sizes if growth.is_power_of_ten(size)]
            found["memory"] = {name: dict.fromkeys(tens, used) for name in axis.operations}
        written[axis.name] = {"ext4": found}
    machine = {"processor": "a processor", "cores": "2"}
    return growth_chart.Figures(json.loads(json.dumps({"axes": written, "machine": machine})))


def test_the_pictures_are_svg_with_a_line_for_each_operation():
    for text in growth_chart.pictures(figures()).values():
        tree = ElementTree.fromstring(text)
        paths = [part for part in tree.iter() if part.tag.endswith("}path")]
        assert len(paths) > 10
        assert "prefers-color-scheme: dark" in text


def test_the_tables_stand_between_the_marks_of_the_page():
    begin, end = growth_chart.MARKS
    page = growth_chart.fill(f"before\n{begin}old\n{end}after\n", growth_chart.tables(figures()))
    assert page.startswith("before\n")
    assert page.endswith("after\n")
    assert "old" not in page
    assert "100,000,000" in page
    assert growth_chart.fill(page, growth_chart.tables(figures())) == page
    real = (BENCHMARKS.parent / "docs" / "performance.md").read_text(encoding="utf-8")
    assert real.count(begin) == real.count(end) == 1
