"""Train a classifier of handwritten digits with PyTorch, in a loop that can be killed at any moment and goes on.

    python train_pytorch.py                                 # one process
    torchrun --nproc-per-node 2 train_pytorch.py            # two: the same global batches
    python train_pytorch.py --threads 8 --every 1           # goes on where it was killed, on other threads and ranks

The data are made at the first start. A checkpoint has the model, the optimizer and where the loader is: 200 bytes.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import dsrecords

GLOBAL_BATCH = 64  # samples of a step, whatever the number of ranks


def make_data(path):
    digits = load_digits()
    rows = (
        {"pixels": pixels, "label": label} for pixels, label in zip(digits.images, digits.target)
    )
    dsrecords.make_dataset(rows, path, {"pixels": "float32[8,8]", "label": "int64"}, overwrite=True)


def noisy(sample, rng):
    """The digit, with noise that depends on seed, epoch and sample alone: in a resumed epoch it is the same."""
    pixels = sample["pixels"] / 16 + rng.normal(0, 0.1, (8, 8))
    return {"pixels": pixels.astype(np.float32), "label": sample["label"]}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", default="digits.rec", help="the dataset; it is made if it is not there"
    )
    parser.add_argument("--checkpoint", default="digits.pt", help="where training is remembered")
    parser.add_argument(
        "--every", type=int, default=10, help="steps from one checkpoint to the next"
    )
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument(
        "--threads", type=int, default=None, help="of the loader; by default one a core"
    )
    parser.add_argument(
        "--notes", help="a file that gets the samples of each step, for the curious"
    )
    return parser.parse_args()


def main():
    options = parse_arguments()
    rank = int(os.environ.get("RANK", 0))
    world_size = int(os.environ.get("WORLD_SIZE", 1))
    torch.set_num_threads(
        1
    )  # the same sums in the same order, so that two runs are equal to the last bit
    torch.manual_seed(0)
    if world_size > 1:
        dist.init_process_group("gloo")
    if rank == 0 and not os.path.exists(options.data):
        make_data(options.data)
    if world_size > 1:
        dist.barrier()

    ds = dsrecords.open(options.data)
    parts = ds.split({"train": 0.8, "test": 0.2}, seed=1, stratify="label")
    loader = dsrecords.Loader(
        parts["train"],
        global_batch_size=GLOBAL_BATCH,
        shuffle=True,
        drop_last=True,
        rank=rank,
        world_size=world_size,
        transform=noisy,
        with_index=True,
        num_threads=options.threads,
        format="torch",
    )
    model = nn.Sequential(
        nn.Unflatten(1, (1, 8)),
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(512, 10),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    load(options.checkpoint, model, optimizer, loader)
    trained = DistributedDataParallel(model) if world_size > 1 else model
    loss = torch.tensor(float("nan"))

    for epoch in range(loader.epoch, options.epochs):
        loader.set_epoch(epoch)
        for batch in loader:
            step = loader.sampler.step - 1
            loss = nn.functional.cross_entropy(trained(batch["pixels"]), batch["label"])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            note(options.notes, rank, epoch, step, batch)
            if rank == 0 and (step + 1) % options.every == 0:
                save(options.checkpoint, model, optimizer, loader)

    if rank == 0:
        save(options.checkpoint, model, optimizer, loader)
        print(f"loss {loss.item()!r}, accuracy {accuracy(model, parts['test']):.4f}")
    if world_size > 1:
        dist.destroy_process_group()


def save(path, model, optimizer, loader):
    """Replace the checkpoint as a whole: whoever is killed meanwhile leaves the old one."""
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "loader": loader.state_dict(),
    }
    torch.save(state, f"{path}.new")
    os.replace(f"{path}.new", path)


def load(path, model, optimizer, loader):
    """Go on where a checkpoint says, if there is one."""
    if not os.path.exists(path):
        return
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    loader.load_state_dict(state["loader"])


def accuracy(model, test):
    batch = test.batch(slice(None))
    with torch.no_grad():
        scores = model(torch.from_numpy(batch["pixels"] / 16))
    return (scores.argmax(1).numpy() == batch["label"]).mean()


def note(path, rank, epoch, step, batch):
    if path is not None:
        line = {"epoch": epoch, "step": step, "rank": rank, "samples": batch["index"].tolist()}
        with Path(f"{path}.{rank}").open("a") as file:
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
