# SPDX-License-Identifier: Apache-2.0
"""k-means: the planted backend for a GPU's, and clusterings that are none."""

import clustering
import record
from phases import Failed
from stand_ins import RELEASE, SMALL, StandInTest


class PhaseTest(StandInTest):
    def setUp(self):
        super().setUp()
        self.here = self.session()

    def measure(self) -> str:
        self.entry = {}
        return clustering.measure(self.here, self.entry, 60)

    def program(self, script: str) -> None:
        program = self.here.build.folder / "bin" / "nearfield_bench"
        program.unlink()
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def test_a_clustering(self):
        self.assertRegex(self.measure(), "^3 runs with the same bits, inertia 0[.][0-9]{3} x that of the start$")
        (point,) = self.entry["points"]
        self.assertEqual((point["rows"], point["dim"], point["clusters"], point["iterations"]), (SMALL.rows, 20, SMALL.clusters, SMALL.iterations))
        self.assertTrue(0 < point["inertia_ratio"] < 1)
        self.assertTrue(0 < point["nearfield"]["min_s"] <= point["nearfield"]["median_s"])
        self.assertIn("| 700 x 20, decaying | 8 | 2 | ", "\n".join(record._clusters(self.entry)))

    def test_a_rehearsal_keeps_no_time(self):
        self.here.emulated, self.here.hello = True, lambda worker, path="": worker.ask("hello", backend="cuda", library=str(self.here.build.lib))
        self.assertRegex(self.measure(), "^2 runs with the same bits, .*, no times: emulated$")
        self.assertNotIn("nearfield", self.entry["points"][0])
        self.assertIn("| - |", "\n".join(record._clusters(self.entry)))

    def test_centroids_that_stay_where_they_were_fail(self):
        copy = "import json, shutil, sys\nfor line in sys.stdin:\n  of = json.loads(line)\n  shutil.copy(of['start'], of['to'])\n  print(json.dumps({'ok': True, 'seconds': 0.1}), flush=True)"
        self.standing_for_kmeans(copy)
        with self.assertRaisesRegex(Failed, "the inertia is 1 times that of the start, it must be less"):
            self.measure()

    def test_other_centroids_each_time_fail(self):
        other = ("import json, sys\nfor number, line in enumerate(sys.stdin):\n  of = json.loads(line)\n  data = bytearray(open(of['start'], 'rb').read())\n"
                 "  data[-1] ^= number\n  open(of['to'], 'wb').write(data)\n  print(json.dumps({'ok': True, 'seconds': 0.1}), flush=True)")  # fmt: skip
        self.standing_for_kmeans(other)
        with self.assertRaisesRegex(Failed, "run 2 has other centroids than the first from the same start"):
            self.measure()

    def standing_for_kmeans(self, program: str) -> None:
        """All other commands are answered as ever."""
        script = self.folder / "kmeans.py"
        script.write_text(program)
        real = f"{RELEASE}/bin/nearfield_bench"
        self.program(f"""exec python3 -c '
import subprocess, sys
workers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for command in (["{real}"], [sys.executable, "{script}"])]
for line in sys.stdin:
    worker = workers[chr(34) + "kmeans" + chr(34) in line]
    worker.stdin.write(line)
    worker.stdin.flush()
    print(worker.stdout.readline(), end="", flush=True)
for worker in workers:
    worker.stdin.close()
    worker.wait()
'""")
