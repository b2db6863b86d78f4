"""Train a classifier of handwritten digits with JAX, in a loop that can be killed at any moment and goes on.

    python train_jax.py
    python train_jax.py --threads 8      # goes on where it was killed, on other threads

The data are made at the first start. A checkpoint has the weights and where the loader is.
"""

import argparse
import json
import os
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

import dsrecords

RATE = 0.1
MOMENTUM = 0.9


def make_data(path):
    digits = load_digits()
    rows = (
        {"pixels": pixels, "label": label} for pixels, label in zip(digits.images, digits.target)
    )
    dsrecords.make_dataset(rows, path, {"pixels": "float32[8,8]", "label": "int32"}, overwrite=True)


def noisy(sample, rng):
    """The digit, with noise that depends on seed, epoch and sample alone: in a resumed epoch it is the same."""
    pixels = sample["pixels"] / 16 + rng.normal(0, 0.1, (8, 8))
    return {"pixels": pixels.astype(np.float32), "label": np.int32(sample["label"])}


def scores(weights, pixels):
    hidden = jax.nn.relu(pixels.reshape(-1, 64) @ weights["in"] + weights["in_bias"])
    return hidden @ weights["out"] + weights["out_bias"]


def loss_of(weights, pixels, labels):
    likelihoods = jax.nn.log_softmax(scores(weights, pixels))
    return -jnp.mean(jnp.take_along_axis(likelihoods, labels[:, None], axis=1))


@partial(jax.jit, donate_argnums=(0, 1))
def update(weights, speeds, pixels, labels):
    loss, gradients = jax.value_and_grad(loss_of)(weights, pixels, labels)
    speeds = jax.tree.map(lambda speed, slope: MOMENTUM * speed - RATE * slope, speeds, gradients)
    weights = jax.tree.map(jnp.add, weights, speeds)
    return weights, speeds, loss


def first_weights():
    first, second = jax.random.split(jax.random.key(0))
    return {
        "in": jax.random.normal(first, (64, 256)) / 8,
        "in_bias": jnp.zeros(256),
        "out": jax.random.normal(second, (256, 10)) / 16,
        "out_bias": jnp.zeros(10),
    }


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", default="digits.rec", help="the dataset; it is made if it is not there"
    )
    parser.add_argument("--checkpoint", default="digits.npz", help="where training is remembered")
    parser.add_argument(
        "--every", type=int, default=10, help="steps from one checkpoint to the next"
    )
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument(
        "--threads", type=int, default=None, help="of the loader; by default one a core"
    )
    parser.add_argument(
        "--notes", help="a file that gets the samples of each step, for the curious"
    )
    return parser.parse_args()


def main():
    options = parse_arguments()
    if not os.path.exists(options.data):
        make_data(options.data)
    parts = dsrecords.open(options.data).split(
        {"train": 0.8, "test": 0.2}, seed=3, stratify="label"
    )
    loader = dsrecords.Loader(
        parts["train"],
        64,
        shuffle=True,
        drop_last=True,  # all batches have one shape: update is compiled once
        transform=noisy,
        with_index=True,
        num_threads=options.threads,
        format="jax",
    )
    weights = first_weights()
    speeds = jax.tree.map(jnp.zeros_like, weights)
    if os.path.exists(options.checkpoint):
        weights, speeds = load(options.checkpoint, loader)
    loss = jnp.nan

    for epoch in range(loader.epoch, options.epochs):
        loader.set_epoch(epoch)
        for batch in loader:
            weights, speeds, loss = update(weights, speeds, batch["pixels"], batch["label"])
            step = loader.sampler.step - 1
            note(options.notes, epoch, step, batch)
            if (step + 1) % options.every == 0:
                save(options.checkpoint, weights, speeds, loader)
    save(options.checkpoint, weights, speeds, loader)

    test = parts["test"].batch(slice(None))
    found = scores(weights, test["pixels"] / 16).argmax(axis=1)
    print(f"loss {float(loss)!r}, accuracy {np.mean(found == test['label']):.4f}")


def save(path, weights, speeds, loader):
    """Replace the checkpoint as a whole: whoever is killed meanwhile leaves the old one."""
    arrays = {f"weights {name}": array for name, array in weights.items()}
    arrays |= {f"speeds {name}": array for name, array in speeds.items()}
    with open(f"{path}.new", "wb") as file:
        np.savez(file, loader=json.dumps(loader.state_dict()), **arrays)
    os.replace(f"{path}.new", path)


def load(path, loader):
    """Go on where a checkpoint says: return the weights and their speeds."""
    with np.load(path, allow_pickle=False) as arrays:
        loader.load_state_dict(json.loads(str(arrays["loader"])))
        found = {"weights": {}, "speeds": {}}
        for key in arrays.files:
            kind, _, name = key.partition(" ")
            if name:
                found[kind][name] = jnp.asarray(arrays[key])
    return found["weights"], found["speeds"]


def note(path, epoch, step, batch):
    if path is not None:
        line = {"epoch": epoch, "step": step, "rank": 0, "samples": batch["index"].tolist()}
        with open(f"{path}.0", "a") as file:
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
