"""`dsrecords.Permutation`: its speed, and how even its orders are beside those of NumPy.

`python benchmarks/permutation.py [seeds]` prints the tables of docs/order-permutation.md. By default
300,000 seeds: half a minute on one core.

A chi-square is given per degree of freedom: 1 is expected, and by chance it strays by `sd`. NumPy's is
that of `numpy.random.default_rng(0).permuted`.
"""

import math
import pickle
import sys
import time

import numpy as np

from dsrecords import Permutation
from dsrecords._order.feistel import Network

SMALL = (3, 4, 5, 6)  # of which all orders are counted
SIZES = (7, 10, 33, 100)  # of which positions, neighbours and gaps are counted
LARGE = (65_536, 65_537, 10**6, 10**7, 10**9, 10**12)
SAMPLE = 2**20  # positions of a large one that are looked at
BUCKETS = 32


def ours(n, seeds):
    """`Permutation(n, seed)` of the seeds 0, 1, 2, …: (seeds, n), made together.

    The network takes an array of seeds as it takes one; that takes microseconds each.
    """
    network = Network(n, np.arange(seeds, dtype=np.uint64)[:, np.newaxis])
    values = np.tile(np.arange(n), (seeds, 1))
    network.encrypt_all(values, values)
    while (outside := values >= n).any():
        others = np.where(outside, values, 0)
        network.encrypt_all(others, others)
        values = np.where(outside, others, values)
    return values


def numpys(n, seeds):
    """As many permutations by NumPy: (seeds, n)."""
    values = np.tile(np.arange(n), (seeds, 1))
    return np.random.default_rng(0).permuted(values, axis=1)


def chi_square(counts, freedom):
    """Pearson's chi-square of counts that should be equal, per degree of freedom."""
    expected = counts.mean()
    return float(((counts - expected) ** 2).sum() / expected / freedom)


def deviation(freedom):
    """The standard deviation of a chi-square per degree of freedom."""
    return math.sqrt(2 / freedom)


def orders(permutations):
    """Of all n! orders: how often each is there."""
    n = permutations.shape[1]
    counts = np.zeros(math.factorial(n))
    _, found = np.unique(permutations @ n ** np.arange(n), return_counts=True)
    counts[: len(found)] = found
    return chi_square(counts, len(counts) - 1), len(counts) - 1


def parts(permutations):
    """Positions (which value is where), neighbours (which value follows which), gaps between these.

    Returns:
        by name: (chi-square, degrees of freedom)
    """
    n = permutations.shape[1]
    first, second = permutations[:, :-1], permutations[:, 1:]
    positions = np.bincount((permutations + n * np.arange(n)).ravel(), minlength=n * n)
    neighbours = np.bincount((first + n * second).ravel(), minlength=n * n).reshape(n, n)
    gaps = np.bincount(((second - first) % n).ravel(), minlength=n)
    pairs = neighbours[~np.eye(n, dtype=bool)]
    return {
        "positions": (chi_square(positions, (n - 1) ** 2), (n - 1) ** 2),
        "neighbours": (chi_square(pairs, n * (n - 1) - 1), n * (n - 1) - 1),
        "gaps": (chi_square(gaps[1:], n - 2), n - 2),
    }


def large(n, seed, count=SAMPLE):
    """The same of `count` positions of one large permutation, in buckets; and beside the next seed.

    Returns:
        by name: (chi-square, degrees of freedom)
    """
    count = min(count, n)
    values = Permutation(n, seed).block(0, count)
    other = Permutation(n, seed + 1).block(0, count)
    bucket = _buckets(values, n)
    where = np.arange(count) * BUCKETS // count
    gaps = _buckets((values[1:] - values[:-1]) % n, n)
    freedom = (BUCKETS - 1) ** 2
    return {
        "positions": (_table(where, bucket), freedom),
        "neighbours": (_table(bucket[:-1], bucket[1:]), freedom),
        "gaps": (_table(gaps[:-1], gaps[1:]), freedom),
        "next seed": (_table(bucket, _buckets(other, n)), freedom),
    }


def _buckets(values, n):
    return (values / n * BUCKETS).astype(np.int64)


def _table(rows, columns):
    """Chi-square of two sequences of buckets, of which neither should say anything about the other."""
    counts = np.zeros((BUCKETS, BUCKETS))
    np.add.at(counts, (rows, columns), 1)
    expected = counts.sum(1, keepdims=True) * counts.sum(0, keepdims=True) / counts.sum()
    return float(((counts - expected) ** 2 / expected).sum() / (BUCKETS - 1) ** 2)


def quality(seeds):
    print(f"\n| what, of {seeds:,} seeds | n | sd | `Permutation` | NumPy |")
    print("| --- | --- | --- | --- | --- |")
    for n in SMALL:
        found, freedom = orders(ours(n, seeds))
        numpy_found, _ = orders(numpys(n, seeds))
        print(
            f"| all {freedom + 1} orders | {n} | {deviation(freedom):.3f} | {found:.3f} | {numpy_found:.3f} |",
            flush=True,
        )
    for n in SIZES:
        some = 3 * seeds // n
        found = parts(ours(n, some))
        numpy_found = parts(numpys(n, some))
        for name, (value, freedom) in found.items():
            print(
                f"| {name} | {n} | {deviation(freedom):.3f} | {value:.3f} | {numpy_found[name][0]:.3f} |",
                flush=True,
            )
    print(f"\n| n, of {SAMPLE:,} positions | sd | positions | neighbours | gaps | next seed |")
    print("| --- | --- | --- | --- | --- | --- |")
    for n in LARGE:
        cells = " | ".join(f"{value:.3f}" for value, _ in large(n, 0).values())
        print(f"| {n:,} | {deviation((BUCKETS - 1) ** 2):.3f} | {cells} |")


def best(function, rounds=5, calls=1):
    """The least processor time of a call, in seconds."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(calls):
            function()
        times.append((time.process_time() - start) / calls)
    return min(times)


def measure(n):
    """One row of the table of speed."""
    made = Permutation(n, 1)
    count = min(n, 2**22)
    construction = best(lambda: Permutation(n, 1), calls=200) * 1e6
    one = best(lambda: made[n // 3], calls=1000) * 1e6
    block = best(lambda: made.block(n // 3, n // 3 + 256), calls=200) * 1e6
    bulk = count / best(lambda: made.block(0, count)) / 1e6
    size = len(pickle.dumps(made))
    return f"| {n:,} | {construction:.0f} µs | {one:.1f} µs | {block:.0f} µs | {bulk:.0f} M/s | {size} B |"


def speed():
    print("| n | construction | one value | block of 256 | in bulk | pickled |")
    print("| --- | --- | --- | --- | --- | --- |")
    for n in (10_000, 10**6, 10**7, 10**9, 10**12):
        print(measure(n), flush=True)
    count = 10**7
    seconds = best(lambda: np.random.default_rng(0).permutation(count), rounds=3)
    rate = count / seconds / 1e6
    print(f"\n`numpy.random.default_rng(0).permutation(10**7)`: {rate:.0f} M/s, 80 MB")


if __name__ == "__main__":
    speed()
    quality(int(sys.argv[1]) if len(sys.argv) > 1 else 300_000)
