"""Files of dsrecords 0.4: recognised, read, and made into datasets. They are never written to."""
