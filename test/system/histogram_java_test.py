#!/usr/bin/env python3
"""hinge's histogram against HdrHistogram itself, Debian's libhdrhistogram-java, on random values:

    histogram_java_test.py PROGRAM-OF-histogram_values.cpp [unittest arguments]

Both are within the promised error of the true percentiles, and count alike. Exit code 77 where
there is no Java (default-jdk-headless, libhdrhistogram-java).
"""

import math
import os
import pathlib
import random
import subprocess
import sys
import unittest

PROGRAM = None
JAR = "/usr/share/java/hdrhistogram.jar"
SOURCE = pathlib.Path(__file__).with_name("HistogramValues.java")
PERCENTILES = [0, 1, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.99, 99.999, 100]


def in_java():
    return ["java", "-cp", JAR, str(SOURCE)]


def told(command, lowest, highest, digits, values):
    """The first line, and those of the percentiles, as numbers."""
    numbers = [lowest, highest, digits, len(values), *values, len(PERCENTILES), *PERCENTILES]
    done = subprocess.run(command, input=" ".join(map(str, numbers)), capture_output=True,
                          text=True, timeout=300, check=True)
    first, *others = [[float(word) for word in line.split()] for line in done.stdout.splitlines()]
    return first, others


class Agreement(unittest.TestCase):
    def both(self, lowest, highest, digits, values):
        ours = told([PROGRAM], lowest, highest, digits, values)
        theirs = told(in_java(), lowest, highest, digits, values)
        error = 10 ** -digits
        near = lambda a, b: self.assertLessEqual(abs(a - b), error * max(a, b) + lowest, (a, b))
        self.assertEqual(ours[0][:1] + ours[0][2:3], theirs[0][:1] + theirs[0][2:3])
        for mine, other in zip(ours[0][1:], theirs[0][1:]):
            near(mine, other)
        ordered = sorted(values)
        self.assertEqual(len(ours[1]), len(PERCENTILES))
        for percent, (mine, mine_up_to), (other, other_up_to) in zip(PERCENTILES, ours[1],
                                                                     theirs[1]):
            with self.subTest(percent=percent):
                # Their ranks are rounded, in some versions to the nearest and in others upwards.
                rank = percent / 100 * len(values)
                low = ordered[max(0, math.floor(rank) - 2)]
                high = ordered[min(len(values) - 1, math.ceil(rank))]
                for value in mine, other:
                    self.assertGreaterEqual(value, low - error * low - lowest)
                    self.assertLessEqual(value, high + error * high + lowest)
                if mine == other:
                    self.assertEqual(mine_up_to, other_up_to)
        return sum(a[0] == b[0] for a, b in zip(ours[1], theirs[1]))

    def test_random(self):
        seed = random.randrange(1 << 32)
        print(f"seed {seed}")
        chance = random.Random(seed)
        same = 0
        shapes = [lambda: int(chance.lognormvariate(11, 1.5)), lambda: chance.randrange(10 ** 6),
                  lambda: int(10 ** chance.uniform(0, 11)), lambda: chance.choice((7, 10 ** 9))]
        for digits in (1, 2, 3, 4):
            for lowest in (1, 1000):
                for shape in shapes:
                    values = [min(shape(), 10 ** 12) for _ in range(20_000)]
                    same += self.both(lowest, 10 ** 12, digits, values)
        # Far from all of them differ by a rank.
        self.assertGreater(same, 0.9 * 4 * 2 * len(shapes) * len(PERCENTILES))


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    try:
        possible = os.path.exists(JAR) and told(in_java(), 1, 1000, 3, [1])
    except (OSError, subprocess.CalledProcessError):
        possible = False
    if not possible:
        print("no Java with a compiler, or no HdrHistogram")
        sys.exit(77)
    unittest.main()
