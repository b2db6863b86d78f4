"""`dsrecords.torch.Dataset` in the `Trainer` of Hugging Face, with a tiny model that is made here."""

import numpy as np
import pytest
from conftest import large

import dsrecords

pytestmark = [pytest.mark.large, pytest.mark.filterwarnings("ignore")]  # of packages of others


@pytest.fixture
def transformers(monkeypatch):
    large("accelerate")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return large("transformers")


@pytest.mark.parametrize("removes", [False, True])
def test_it_trains(transformers, path, tmp_path, removes):
    columns = {"input_ids": np.arange(32 * 6).reshape(32, 6) % 50, "labels": np.arange(32) % 2}
    if removes:
        columns["number"] = np.arange(32)  # which the model has no argument for
    dsrecords.make_dataset(columns, path)
    config = transformers.BertConfig(
        vocab_size=50,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=8,
    )
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "out"),
        max_steps=2,
        per_device_train_batch_size=8,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=removes,
    )
    kinds = []

    def collate(rows):
        kinds.append(type(rows))
        return dsrecords.torch.collate(rows)

    dataset = dsrecords.torch.Dataset(dsrecords.open(path))
    trainer = transformers.Trainer(
        model=transformers.BertForSequenceClassification(config),
        args=arguments,
        train_dataset=dataset,
        eval_dataset=dataset[:8],
        data_collator=collate,
    )
    assert trainer.train().global_step == 2
    assert trainer.evaluate()["eval_loss"] > 0
    # It takes the columns away from each sample, and then there are lists.
    assert set(kinds) == {list if removes else dsrecords.torch.Rows}
