"""The two files as bytes: header, frames, log, index. Knows nothing of types or samples."""
