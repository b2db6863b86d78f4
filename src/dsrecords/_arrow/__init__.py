"""Values of each type as an array of Arrow, and back."""
