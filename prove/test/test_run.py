# SPDX-License-Identifier: Apache-2.0
"""Whole runs on small data, the planted backend for a GPU's; and builds with a stand-in for cmake."""

import json
import signal
import subprocess
import sys
import time

import building
import children
import command_line
import proof
import session as sessions
from machine import ROOT
from stand_ins import SMALL, StandInTest

SMALL_RUN = """
import sys
sys.path[:0] = [{prove!r}, {prove!r} + "/test", {driver!r}]
import session
from stand_ins import SMALL
session.REAL, session.GRACE = SMALL, 2
import runpy
sys.argv[:] = ["prove", *sys.argv[1:]]
runpy.run_path({prove!r}, run_name="__main__")
"""


class RunTest(StandInTest):
    def setUp(self):
        super().setUp()
        self.made = self.build()
        self.out = self.folder / "out"
        self.setting("LD_LIBRARY_PATH", self.driver())
        script = self.folder / "small.py"
        script.write_text(SMALL_RUN.format(prove=str(ROOT / "prove"), driver=str(ROOT / "bench" / "driver")))
        self.command = [sys.executable, str(script), "--build", str(self.made.folder), "--out", str(self.out)]

    def prove(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([*self.command, *arguments], capture_output=True, text=True, check=False)

    def record(self) -> dict:
        (path,) = self.out.glob("*.json")
        self.assertTrue(path.with_suffix(".md").exists())
        return json.loads(path.read_text())

    def outcomes(self) -> dict:
        return {entry["name"]: entry["outcome"] for entry in self.record()["phases"]}

    def test_a_run(self):
        done = self.prove("--only", "device,speed,kernels,memcheck")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("# Proof of cuda", done.stdout)
        found = self.record()
        self.assertEqual((found["ended"], found["emulated"], found["device"]["compute_capability"]), ("complete", False, "9.0"))
        self.assertEqual(self.outcomes()["speed"], "passed")
        self.assertEqual(self.outcomes()["suite"], "left out")
        speed = next(e for e in found["phases"] if e["name"] == "speed")
        self.assertEqual(len(speed["points"]), len(SMALL.dims) * len(SMALL.batches) * len(SMALL.ks))
        for point in speed["points"]:
            self.assertEqual((point["recall"], point["wrong_distances"]), (1, 0))
            times = point["nearfield"]
            self.assertTrue(0 < times["min_s"] <= times["median_s"] <= times["max_s"])
            self.assertGreaterEqual(times["rounds"], 3)
        self.assertGreater(speed["limits"]["copy_bytes_per_s"], 0)

    def test_a_failing_suite_fails_the_run_and_keeps_the_log(self):
        program = self.made.folder / "bin" / "nearfield_suite"
        program.unlink()
        program.write_text(f'#!/bin/sh\nexec "{ROOT}/build/release/bin/nearfield_suite" "$@" --smoke\n')
        program.chmod(0o755)
        done = self.prove("--only", "suite")
        self.assertEqual(done.returncode, 1, done.stderr)
        entry = next(e for e in self.record()["phases"] if e["name"] == "suite")
        self.assertEqual(entry["outcome"], "failed")
        self.assertIn("bits-paths", entry["sentence"])
        self.assertIn("failed", entry["logs"]["suite.log"])

    def test_wrong_answers_fail(self):
        # A backend of another metric's arithmetic would do; a library that loses the last dimension is at hand.
        program = self.made.folder / "bin" / "nearfield_bench"
        program.unlink()
        program.write_text(f'#!/bin/sh\nsed -u \'s/"command": "hello"/"command": "hello", "path": "dimension"/\' | \'{building.ROOT}/build/release/bin/nearfield_bench\'\n')
        program.chmod(0o755)
        done = self.prove("--only", "speed")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("have wrong answers", done.stdout)

    def test_an_emulator_is_no_gpu(self):
        program = self.made.folder / "bin" / "nearfield_bench"
        program.unlink()
        program.write_text('#!/bin/sh\nread -r line; echo \'{"ok":true,"device":"simt","driver":"d","software":0,"emulated":1,"version":"v"}\'; cat >/dev/null\n')
        program.chmod(0o755)
        done = self.prove("--only", "suite,speed")
        self.assertEqual(done.returncode, 1)
        self.assertIn("simt is an emulator, which proves nothing of a GPU", done.stdout)
        outcomes = self.outcomes()
        self.assertEqual([outcomes[name] for name in ("device", "suite", "speed", "java")], ["failed", "absent", "absent", "left out"])
        self.assertNotIn("driver", self.record()["device"])

    def test_a_killed_run_leaves_a_record(self):
        program = self.made.folder / "bin" / "nearfield_bench"
        program.unlink()
        program.write_text("#!/bin/sh\nexec sleep 20\n")
        program.chmod(0o755)
        process = subprocess.Popen([*self.command, "--only", "speed"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while "The device" not in process.stderr.readline():
            pass
        process.kill()
        process.communicate(timeout=30)
        found = self.record()
        self.assertNotEqual(found["ended"], "complete")
        self.assertEqual((found["device"]["name"], self.outcomes()["device"]), ("Fake H200", "interrupted"))

    def test_interrupted(self):
        process = subprocess.Popen([*self.command, "--only", "device,suite"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while "Test suite" not in process.stderr.readline():
            pass
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 130)
        self.assertEqual(self.record()["ended"], "interrupted")
        self.assertEqual((self.outcomes()["device"], self.outcomes()["suite"]), ("passed", "interrupted"))

    def test_no_build(self):
        for name in ("lib", "bin"):
            for file in (self.made.folder / name).iterdir():
                file.unlink()
        done = self.prove("--only", "device,suite")
        self.assertEqual(done.returncode, 1, done.stderr)  # with a GPU here, nothing was proven
        self.assertEqual({self.outcomes()[name] for name in ("build", "device", "suite")}, {"absent"})

    def test_a_hanging_worker_is_ended(self):
        program = self.made.folder / "bin" / "nearfield_bench"
        program.unlink()
        program.write_text("#!/bin/sh\nexec sleep 600\n")
        program.chmod(0o755)
        begun = time.monotonic()
        done = self.prove("--only", "device", "--seconds", "2")
        self.assertLess(time.monotonic() - begun, 30)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no answer", done.stdout)


class BuildTest(StandInTest):
    def setUp(self):
        super().setUp()
        self.before, building.HERE = building.HERE, self.folder / "here"
        self.addCleanup(setattr, building, "HERE", self.before)
        self.carried = self.build().folder
        # Also kept from what this checkout may hold.
        self.found = building.brought
        building.brought = lambda options, backend: building.Build(self.carried, backend) if self.carried else None
        self.addCleanup(setattr, building, "brought", self.found)
        self.tool("nvcc", "echo 'Cuda compilation tools, release 13.0, V13.0.88'")
        self.tool("ninja", "exit 0")

    def cmake(self, status: int) -> None:
        """One that writes down what it is asked, and makes what the target list wants."""
        self.tool("cmake", f"""printf '%s ' "$@" >>'{self.folder}/calls'; echo >>'{self.folder}/calls'
case "$*" in *help*) echo nearfield_prove_tools; exit 0 ;; *--build*) ;; *) mkdir -p '{building.HERE}'; exit 0 ;; esac
[ {status} -eq 0 ] || {{ echo 'error: no such architecture'; echo 'ninja: build stopped'; exit {status}; }}
mkdir -p '{building.HERE}/lib' '{building.HERE}/bin'
touch '{building.HERE}/lib/libnearfield_cuda.so' '{building.HERE}/bin/nearfield_suite' '{building.HERE}/bin/nearfield_bench'""")

    def find(self, **options) -> tuple:
        entry = {}
        build = building.find(command_line.Options(**options), "cuda", "9.0", entry, 30, str(self.folder / "log"))
        return build, entry

    def test_it_builds_for_this_device_and_completes_with_what_was_carried(self):
        self.cmake(0)
        carried = building.Build(self.carried, "cuda")
        carried.tool("x").parent.mkdir()
        for name in building.TOOLS:
            carried.tool(name).write_text("brought along")
        build, entry = self.find()
        for name in building.TOOLS:
            self.assertEqual(build.tool(name).read_text(), "brought along")
        self.assertEqual((build.folder, entry["from"]), (building.HERE, "built here"))
        self.assertTrue((build.lib / "libnearfield_cpu.so").exists())
        calls = (self.folder / "calls").read_text()
        for word in ("-DNEARFIELD_CUDA=ON", "-DNEARFIELD_WGPU=OFF", "-DNEARFIELD_CUDA_ARCHITECTURES=90a", "-G Ninja", "nearfield_suite", "nearfield_prove_tools"):
            self.assertIn(word, calls)

    def test_an_earlier_build_is_kept_unless_its_settings_differ(self):
        self.cmake(0)
        self.find()
        (building.HERE / "objects").write_text("minutes of work")
        (building.HERE / "lib" / "libnearfield_old.so").write_text("of an earlier build")
        self.find()
        self.assertTrue((building.HERE / "objects").exists())
        self.assertFalse((building.HERE / "lib" / "libnearfield_old.so").exists())
        self.tool("nvcc", "echo 'Cuda compilation tools, release 13.1, V13.1.0'")
        self.find()
        self.assertFalse((building.HERE / "objects").exists())

    def test_configuring_and_building_share_their_time(self):
        self.cmake(0)
        given, run = [], children.run
        self.addCleanup(setattr, children, "run", run)

        def slow(command, log, seconds, *more):
            given.append(seconds)
            time.sleep(0.3)
            return run(command, log, seconds, *more)

        children.run = slow
        self.find()
        self.assertEqual(given[0], 30)
        self.assertLess(given[-1], 29.8)

    def test_a_failed_build_is_named_and_the_carried_one_used(self):
        self.cmake(1)
        build, entry = self.find()
        self.assertEqual(build.folder, self.carried)
        self.assertIn("the build failed: error: no such architecture", entry["build_failed"])

    def test_a_failed_build_without_another_fails(self):
        self.cmake(1)
        self.carried = None
        with self.assertRaisesRegex(proof.Failed, "^the build failed: error: no such architecture, and no build was brought along"):
            self.find()

    def test_a_named_build_is_never_built(self):
        self.cmake(0)
        build, _ = self.find(build=str(self.carried))
        self.assertEqual(build.folder, self.carried)
        self.assertFalse((self.folder / "calls").exists())

    def test_nothing_to_build_with_and_nothing_carried(self):
        self.carried = None
        self.setting("PATH", str(self.folder / "bin"))
        with self.assertRaises(proof.Absent) as caught:
            self.find()
        self.assertIn("there is no cmake, and no build was brought along", str(caught.exception))


class ShapeTest(StandInTest):
    def test_what_is_measured(self):
        self.assertEqual((sessions.REAL.rows, sessions.REAL.dims, sessions.REAL.ks), (1_000_000, (128, 768), (10, 100, 1000)))
        self.assertEqual(sessions.REAL.batches, (1, 16, 200, 1000, 10_000))
