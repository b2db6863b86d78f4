"""Pictures for training: a part of an image, resized and flipped, straight into a batch."""
