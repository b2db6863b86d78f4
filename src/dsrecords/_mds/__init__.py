"""Datasets of MosaicML's (MDS), read in place: a folder of shards and an `index.json`."""
