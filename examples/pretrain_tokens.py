"""Train a small language model on two corpora, mixed three to one, in a loop that goes on where it was killed.

    python pretrain_tokens.py first_folder second_folder     # folders of text files; without them, Python's own sources
    python pretrain_tokens.py --steps 400                    # goes on

Tokens are bytes here. Documents lie behind each other, with an end-of-text token between them, and are cut into
windows of one length: no token is lost to padding.
"""

import argparse
import json
import os
import sysconfig
from pathlib import Path

import numpy as np
import torch
from torch import nn

import dsrecords

END = 256  # the token behind each document; those before it are bytes
LENGTH = 64  # tokens that the model sees
BATCH = 32


def make_corpus(folder, pattern, path):
    """A dataset of the token sequences of some files."""
    files = sorted(Path(folder).rglob(pattern))[:100]
    documents = (
        {
            "tokens": np.append(np.frombuffer(file.read_bytes()[:20_000], np.uint8), END).astype(
                np.uint16
            )
        }
        for file in files
    )
    dsrecords.make_dataset(documents, path, {"tokens": "uint16[*]"}, overwrite=True)


class Model(nn.Module):
    """A transformer of one layer."""

    def __init__(self, width=64):
        super().__init__()
        self.tokens = nn.Embedding(END + 1, width)
        self.positions = nn.Embedding(LENGTH, width)
        self.layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True)
        self.out = nn.Linear(width, END + 1)
        self.register_buffer(
            "mask", nn.Transformer.generate_square_subsequent_mask(LENGTH), persistent=False
        )

    def forward(self, tokens):
        positions = torch.arange(tokens.shape[1])
        hidden = self.tokens(tokens) + self.positions(positions)
        return self.out(self.layer(hidden, self.mask, is_causal=True))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", help="two folders of text files")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument(
        "--every", type=int, default=20, help="steps from one checkpoint to the next"
    )
    parser.add_argument(
        "--threads", type=int, default=None, help="of the loader; by default one a core"
    )
    parser.add_argument("--checkpoint", default="tokens.pt", help="where training is remembered")
    parser.add_argument(
        "--notes", help="a file that gets the samples of each step, for the curious"
    )
    return parser.parse_args()


def main():
    options = parse_arguments()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    names = ["first.rec", "second.rec"]
    if not all(os.path.exists(name) for name in names):
        library = Path(sysconfig.get_path("stdlib"))
        folders = options.folders or [library / "asyncio", library / "email"]
        for folder, name in zip(folders, names, strict=True):
            make_corpus(folder, "*.*" if options.folders else "*.py", name)

    # One token more than the model sees: what comes next is what it learns.
    corpora = [dsrecords.open(name).windows("tokens", LENGTH + 1, stride=LENGTH) for name in names]
    mixed = dsrecords.mix(corpora, [3, 1], seed=0, stop=options.steps * BATCH)
    loader = dsrecords.Loader(mixed, BATCH, with_index=True, num_threads=options.threads)
    model = Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    if os.path.exists(options.checkpoint):
        load(options.checkpoint, model, optimizer, loader)

    loss = torch.tensor(float("nan"))
    for windows, index in loader:
        step = loader.sampler.step - 1
        tokens = torch.from_numpy(windows.astype(np.int64))
        scores = model(tokens[:, :-1])
        loss = nn.functional.cross_entropy(scores.flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if options.notes is not None:
            with open(options.notes, "a") as file:
                file.write(json.dumps({"step": step, "samples": index.tolist()}) + "\n")
        if (step + 1) % options.every == 0:
            save(options.checkpoint, model, optimizer, loader)
        if (step + 1) % 50 == 0:
            counts = np.bincount(mixed.sources(index)[0], minlength=2)
            print(
                f"step {step + 1}: loss {loss.item():.3f}; {counts[0]} windows of the first corpus, {counts[1]} of the second"
            )
    save(options.checkpoint, model, optimizer, loader)
    print(f"loss {loss.item()!r}")


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
    """Go on where a checkpoint says."""
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    loader.load_state_dict(state["loader"])


if __name__ == "__main__":
    main()
