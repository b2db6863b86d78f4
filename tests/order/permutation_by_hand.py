"""The permutation of docs/order-permutation.md, written from the page alone: slow, one number at a time.

`python tests/order/permutation_by_hand.py` writes the test vectors, `vectors.json`, anew: only for another specification.
"""

import json
from pathlib import Path

VECTORS = Path(__file__).with_name("vectors.json")
MASK = 0xFFFFFFFF


def hash_words(number, words):
    h = (number * 0x9E3779B9) & MASK
    for word in words:
        h ^= word
        h ^= h >> 16
        h = (h * 0x7FEB352D) & MASK
        h ^= h >> 15
        h = (h * 0x846CA68B) & MASK
        h ^= h >> 16
    return h


def words_of(number):
    return [number & MASK, number >> 32]


def derived_seed(seed, number):
    words = words_of(seed) + words_of(number)
    return hash_words(65536, words) + 2**32 * hash_words(65537, words)


def value_at(n, seed, position):
    bits = len(bin(n - 1)) - 2 if n > 1 else 0
    k = bits // 2
    columns = (n + 2**k - 1) // 2**k
    words = words_of(n) + words_of(seed)
    rounds = 24 if n <= 65536 else 12
    value = position
    while True:
        high, low = value // 2**k, value % 2**k
        for i in range(rounds):
            key, factor = hash_words(2 * i, words), hash_words(2 * i + 1, words) | 1
            h = ((high if i % 2 else low) ^ key) * 0x7FEB352D & MASK
            h = (h ^ (h >> 15)) * factor & MASK
            if i % 2:
                low ^= h >> (32 - k)
            else:
                high = (high + h * columns // 2**32) % columns
        value = high * 2**k + low
        if value < n:
            return value


def make_vectors():
    permutations = []
    sizes = [
        1,
        2,
        3,
        5,
        6,
        7,
        10,
        16,
        17,
        100,
        1000,
        65536,
        65537,
        10**6,
        10**7,
        2**32 - 1,
        2**32,
        2**32 + 1,
    ]
    for n in [*sizes, 10**12, 2**52, 2**53 - 1, 2**53]:
        for seed in (0, 1, 2**32, 0x0123456789ABCDEF, 2**64 - 1):
            positions = range(n)
            if n > 10:
                positions = sorted({0, 1, 2, 3, n // 3, n // 2, n - 2, n - 1})
            values = [value_at(n, seed, position) for position in positions]
            permutations.append(
                {"n": n, "seed": str(seed), "positions": list(positions), "values": values}
            )
    derived = []
    for seed, number in [(0, 0), (0, 1), (1, 0), (7, 2**32), (2**64 - 1, 2**64 - 1)]:
        derived.append(
            {"seed": str(seed), "number": str(number), "derived": str(derived_seed(seed, number))}
        )
    return {"permutations": permutations, "derived_seeds": derived}


if __name__ == "__main__":
    vectors = make_vectors()
    lines = {
        name: ",\n".join(json.dumps(item) for item in items) for name, items in vectors.items()
    }
    parts = [f'"{name}": [\n{text}\n]' for name, text in lines.items()]
    VECTORS.write_text("{" + ",\n".join(parts) + "}\n")
