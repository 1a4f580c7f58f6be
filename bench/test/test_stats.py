# SPDX-License-Identifier: Apache-2.0
import math
import unittest

import stats

LIMITS = {"read_bytes_per_s": 10e9, "flops_per_s": 100e9}


class StatsTest(unittest.TestCase):
    def test_summary(self):
        self.assertEqual(stats.summary([3.0, 1.0, 2.0]), {"median_s": 2.0, "min_s": 1.0, "max_s": 3.0})
        self.assertEqual(stats.summary([1.0, 2.0])["median_s"], 1.5)

    def test_limit(self):
        # 1M x 125 f32 are 0.5 GB: 50 ms to read; 2 operations x 125M take 2.5 ms for one query.
        self.assertAlmostEqual(stats.least_seconds(1_000_000, 125, 1, "l2", LIMITS), 0.05)
        self.assertAlmostEqual(stats.least_seconds(1_000_000, 125, 1000, "l2", LIMITS), 2.5)
        self.assertAlmostEqual(stats.least_seconds(1_000_000, 125, 1000, "manhattan", LIMITS), 5)
        self.assertEqual(stats.bound_by(1_000_000, 125, 19, "cosine", LIMITS), "memory")
        self.assertEqual(stats.bound_by(1_000_000, 125, 21, "cosine", LIMITS), "arithmetic")

    def test_rounded(self):
        self.assertEqual(stats.rounded(0.123456789), 0.12346)
        self.assertEqual(stats.rounded(123456789.0), 123460000.0)
        self.assertEqual(stats.rounded(0.0), 0.0)
        self.assertIsNone(stats.rounded(None))
        self.assertIsNone(stats.rounded(math.nan))
