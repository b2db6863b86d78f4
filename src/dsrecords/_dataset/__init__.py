"""The parts that `IndexedRecordDataset` is made of."""
