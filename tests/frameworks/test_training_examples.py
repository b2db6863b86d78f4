"""The examples that train: they learn, and whoever kills them loses no step and repeats none."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import SOURCE, large

pytest.importorskip("sklearn")
EXAMPLES = Path(__file__).parents[2] / "examples"
SEED = 20_261_127

pytestmark = pytest.mark.large


def start(script, folder, *arguments, **environment):
    """A process that runs an example in a folder."""
    variables = {**os.environ, "PYTHONPATH": str(SOURCE), **environment}
    command = [sys.executable, "-X", "faulthandler", str(EXAMPLES / script), *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=variables,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def result(process):
    """What an example has printed at its end."""
    out, err = process.communicate(timeout=3000)
    assert process.returncode == 0, err
    return out.splitlines()[-1]


def notes(folder, name):
    """Which samples each step had, by epoch and step; each rank's in order. What was done twice must be the same."""
    found = {}
    for path in sorted(folder.glob(f"{name}*")):
        # The last line of a killed process may be a part of one.
        for line in path.read_text().splitlines():
            if not line.endswith("}"):
                continue
            noted = json.loads(line)
            key = (noted.get("epoch", 0), noted["step"], noted.get("rank", 0))
            assert found.setdefault(key, noted["samples"]) == noted["samples"], key
    batches = {}
    for epoch, step, rank in sorted(found):
        batches.setdefault((epoch, step), []).extend(found[epoch, step, rank])
    return batches


def lines(folder, name):
    return sum(len(path.read_text().splitlines()) for path in folder.glob(f"{name}*"))


def kill_after(processes, folder, name, count):
    """Kill processes once so many steps more are noted; they must not have ended before."""
    goal = lines(folder, name) + count
    while lines(folder, name) < goal:
        assert all(process.poll() is None for process in processes), [
            process.communicate() for process in processes
        ]
        time.sleep(0.01)
    for process in processes:
        process.send_signal(signal.SIGKILL)
    for process in processes:
        process.communicate()


@pytest.fixture(scope="module")
def pytorch(tmp_path_factory):
    """A training that nobody disturbs: its folder, and what it prints."""
    large("torch")
    folder = tmp_path_factory.mktemp("pytorch")
    return folder, result(start("train_pytorch.py", folder, "--threads", 1, "--notes", "notes"))


def test_pytorch_learns_digits(pytorch):
    _, printed = pytorch
    assert float(printed.split()[-1]) > 0.97


def test_pytorch_killed_at_any_step_ends_with_the_same_loss(pytorch, tmp_path):
    folder, printed = pytorch
    rng = random.Random(SEED)
    for threads in (2, 5, 0):
        process = start(
            "train_pytorch.py", tmp_path, "--threads", threads, "--every", 7, "--notes", "notes"
        )
        kill_after([process], tmp_path, "notes", rng.randrange(20, 120))
    last = start("train_pytorch.py", tmp_path, "--threads", 3, "--notes", "notes")
    assert result(last) == printed  # to the last digit
    assert notes(tmp_path, "notes") == notes(folder, "notes")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start_ranks(folder, world_size, *arguments):
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    ranks = []
    for rank in range(world_size):
        place = {"RANK": str(rank), "WORLD_SIZE": str(world_size), **address}
        ranks.append(start("train_pytorch.py", folder, *arguments, **place))
    return ranks


def test_pytorch_goes_on_with_other_ranks_at_the_same_global_batches(pytorch, tmp_path):
    folder, _ = pytorch
    rng = random.Random(SEED + 1)
    both = ["--epochs", 4, "--every", 5]
    alone = start("train_pytorch.py", tmp_path, *both, "--threads", 2, "--notes", "alone")
    kill_after([alone], tmp_path, "alone", rng.randrange(15, 30))
    ranks = start_ranks(tmp_path, 2, *both, "--threads", 1, "--notes", "ranks")
    kill_after(ranks, tmp_path, "ranks", 2 * rng.randrange(15, 30))
    assert "accuracy" in result(start("train_pytorch.py", tmp_path, *both, "--notes", "last"))
    wanted = {key: batch for key, batch in notes(folder, "notes").items() if key[0] < 4}
    seen = {}
    for name in ("alone", "ranks", "last"):
        for key, batch in notes(tmp_path, name).items():
            # A rank that was killed earlier than the other may lack the last step.
            if len(batch) == 64:
                assert batch == wanted[key], key
                seen[key] = name
    assert set(seen) == set(wanted)
    assert set(seen.values()) == {"alone", "ranks", "last"}


def test_jax_learns_digits_and_goes_on_where_it_was_killed(tmp_path):
    large("jax")
    quiet = tmp_path / "quiet"
    killed = tmp_path / "killed"
    quiet.mkdir()
    killed.mkdir()
    printed = result(start("train_jax.py", quiet, "--threads", 1, "--notes", "notes"))
    assert float(printed.split()[-1]) > 0.97
    first = start("train_jax.py", killed, "--threads", 3, "--every", 7, "--notes", "notes")
    kill_after([first], killed, "notes", 100)
    assert result(start("train_jax.py", killed, "--threads", 2, "--notes", "notes")) == printed
    assert notes(killed, "notes") == notes(quiet, "notes")


def test_a_language_model_goes_on_amid_two_corpora(tmp_path):
    large("torch")
    quiet = tmp_path / "quiet"
    killed = tmp_path / "killed"
    for folder in (quiet, killed):
        for corpus in ("first", "second"):
            (folder / corpus).mkdir(parents=True)
            for number in range(20):
                text = f"{corpus} {number} ".encode() * (200 + 37 * number)
                (folder / corpus / f"{number:02d}.txt").write_bytes(text)
    both = ["first", "second", "--steps", 60, "--notes", "notes"]
    printed = result(start("pretrain_tokens.py", quiet, *both, "--threads", 1))
    first = start("pretrain_tokens.py", killed, *both, "--every", 7, "--threads", 3)
    kill_after([first], killed, "notes", 25)
    assert result(start("pretrain_tokens.py", killed, *both, "--threads", 2)) == printed
    assert notes(killed, "notes") == notes(quiet, "notes")
    assert len(notes(quiet, "notes")) == 60


def test_a_wrong_label_is_found_by_its_loss_and_mended(tmp_path):
    large("torch")
    process = start("why.py", tmp_path)
    assert int(result(process).removeprefix("labels that are still wrong: ")) <= 1  # of three
    assert list(tmp_path.glob("suspect-*.png"))
