"""Files of dsrecords 0.4: read, and made into datasets."""
