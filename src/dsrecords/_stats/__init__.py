"""What the values of a dataset are like: ranges, means, lengths, counts, histograms."""
