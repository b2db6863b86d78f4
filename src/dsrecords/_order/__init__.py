"""Orders of samples: permutations that are formulas, and sequences made of them."""
