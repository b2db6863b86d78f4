"""Why did the loss jump? From the step to its samples, to the one that is wrong, which is mended in place.

    python why.py

Three labels of a set of handwritten digits are made wrong on purpose. The losses of training show where; the loader
says which samples a step had; the file is corrected without being written anew, and training goes on.
"""

import os

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn

import dsrecords

PATH = "suspicious.rec"
WRONG = {100, 700, 1500}  # the records whose labels are made wrong
EPOCHS = 8
SPIKE = 0.2  # of the loss of a step, which is usually a tenth of that by then


def make_data():
    digits = load_digits()
    rows = [
        {"image": (pixels * 15).astype(np.uint8), "label": (label + 5 * (number in WRONG)) % 10}
        for number, (pixels, label) in enumerate(zip(digits.images, digits.target))
    ]
    dsrecords.make_dataset(rows, PATH, {"image": "png", "label": "int64"}, overwrite=True)


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    make_data()
    model = nn.Sequential(
        nn.Unflatten(1, (1, 8)),
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(512, 10),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    state = None
    epochs = range(EPOCHS)
    while True:
        loader = new_loader(state)
        losses = train(loader, model, optimizer, epochs)
        state = loader.state_dict()
        step = int(np.argmax(losses))
        print(
            f"epoch {epochs[-1]}: usually the loss is {np.median(losses):.4f}; at step {step} it was {losses[step]:.4f}"
        )
        if losses[step] < SPIKE:
            break
        mend(loader, model, epochs[-1], step)
        epochs = range(epochs[-1] + 1, epochs[-1] + 2)
    found = dsrecords.open(PATH).column("label")
    print("labels that are still wrong:", int((found != load_digits().target).sum()))


def new_loader(state):
    ds = dsrecords.open(PATH)  # as it is now
    loader = dsrecords.Loader(ds, 16, shuffle=True, decode={"image": "gray"}, format="torch")
    if state is not None:
        loader.load_state_dict(state)
    return loader


def train(loader, model, optimizer, epochs):
    """Train some epochs; the loss of each step of the last one."""
    losses = []
    for epoch in epochs:
        loader.set_epoch(epoch)
        losses.clear()
        for batch in loader:
            loss = each_loss(model, batch).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def each_loss(model, batch):
    scores = model(batch["image"] / 255)
    return nn.functional.cross_entropy(scores, batch["label"], reduction="none")


def mend(loader, model, epoch, step):
    """Look at the samples of a step, and correct the label of the worst."""
    loader.set_epoch(epoch)
    indices = loader.indices(step)
    with dsrecords.open(PATH, decode={"image": "gray"}) as ds:
        batch = ds.batch(indices)
        images = torch.from_numpy(np.stack(batch["image"]))
        with torch.no_grad():
            worst = int(
                each_loss(
                    model, {"image": images, "label": torch.from_numpy(batch["label"])}
                ).argmax()
            )
            chances = model(images[worst : worst + 1] / 255).softmax(1)[0]
        record = int(indices[worst])
        label = int(chances.argmax())
        picture = f"suspect-{record}.png"
        Image.fromarray(batch["image"][worst]).resize((160, 160), Image.Resampling.NEAREST).save(
            picture
        )
        print(
            f"  record {record} is labelled {batch['label'][worst]}; the model says {label}, {chances[label]:.0%} sure: see {picture}"
        )
        size = os.path.getsize(PATH)
        ds[record, "label"] = label
        ds.flush()
        print(f"  mended by {os.path.getsize(PATH) - size} more bytes")


if __name__ == "__main__":
    main()
