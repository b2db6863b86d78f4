"""`dsrecords.torch.Dataset` in Lightning: a `DataModule` of one's own, and `from_datasets`."""

import sys

import numpy as np
import pytest
from conftest import large

import dsrecords

data = large("torch.utils.data")
torch = sys.modules["torch"]

pytestmark = [
    pytest.mark.large,
    # Lightning says these of itself, or of a machine without a GPU.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture
def lightning():
    return large("lightning")


@pytest.fixture
def dataset(path):
    columns = {"x": np.zeros((64, 4), np.float32), "score": np.zeros(64, np.float32)}
    columns["label"] = np.arange(64)
    dsrecords.make_dataset(columns, path)
    return dsrecords.torch.Dataset(dsrecords.open(path))


def fit(lightning, source):
    """Train for two steps; the batches that were trained on."""
    seen = []

    class Model(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def training_step(self, batch, number):
            seen.append(batch)
            return self.layer(batch["x"]).square().mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    trainer = lightning.Trainer(
        max_steps=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Model(), source)
    assert trainer.global_step == 2
    return seen


def test_from_datasets_trains(lightning, dataset):
    module = lightning.LightningDataModule.from_datasets(train_dataset=dataset, batch_size=16)
    batches = fit(lightning, module)
    assert [batch["x"].shape for batch in batches] == [(16, 4), (16, 4)]
    seen = torch.cat([batch["label"] for batch in batches])
    assert len(set(seen.tolist())) == 32  # shuffled, none of them twice


def test_from_datasets_takes_several(lightning, dataset):
    module = lightning.LightningDataModule.from_datasets(
        train_dataset=dataset[:48], val_dataset=[dataset[48:56], dataset[56:]], batch_size=8
    )
    loaders = module.val_dataloader()
    assert [next(iter(loader))["label"].tolist() for loader in loaders] == [
        list(range(48, 56)),
        list(range(56, 64)),
    ]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_module_of_ones_own_trains_by_columns(lightning, dataset, num_workers):
    class Points(lightning.LightningDataModule):
        def train_dataloader(self):
            return data.DataLoader(
                dataset, 16, num_workers=num_workers, collate_fn=dsrecords.torch.collate
            )

    batches = fit(lightning, Points())
    assert torch.cat([batch["label"] for batch in batches]).tolist() == list(range(32))
    assert batches[0]["score"].dtype == torch.float32  # the stored one: by columns
