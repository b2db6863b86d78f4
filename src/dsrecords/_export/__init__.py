"""A dataset as a table of other packages, and as HTML for notebooks."""
