"""`Loader`: batches of a dataset for training, made ahead by threads."""
