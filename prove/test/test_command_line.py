# SPDX-License-Identifier: Apache-2.0
"""Options, and the command as a user starts it where there is no GPU."""

import subprocess
import sys

import command_line
from errors import UsageError
from machine import ROOT
from stand_ins import StandInTest


class OptionsTest(StandInTest):
    def refused(self, *arguments: str, says: str):
        with self.assertRaises(UsageError) as caught:
            command_line.parse(list(arguments))
        self.assertIn(says, str(caught.exception))

    def test_defaults(self):
        options = command_line.parse([])
        self.assertEqual((options.only, options.seconds, options.rehearse), (command_line.PHASES, 460, False))
        self.assertLess(options.seconds, 8 * 60)
        self.assertGreater(command_line.parse(["--rehearse"]).seconds, 460)

    def test_all_together(self):
        (self.folder / "lib").mkdir()
        options = command_line.parse(["--out", str(self.folder / "new" / "folder"), f"--build={self.folder}", "--seconds=30", "--only", "speed,suite"])
        self.assertEqual((options.seconds, options.only, options.build), (30.0, ("suite", "speed"), str(self.folder)))

    def test_wrong_ones(self):
        self.refused("--frobnicate", says="'--frobnicate'")
        self.refused("extra", says="'extra'")
        self.refused("--out", says="--out takes a value")
        self.refused("--out=", says="--out is empty")
        self.refused("--rehearse=yes", says="takes no value")
        self.refused("--seconds", "soon", says="--seconds=soon")
        self.refused("--seconds", "0", says="from 1 to 86400")
        self.refused("--seconds", "nan", says="from 1 to 86400")
        self.refused("--only", "suite,foo", says="no phase 'foo'; there are device, units, suite")
        self.refused("--build", str(self.folder), says="no folder lib")
        self.refused("--java", str(self.folder), says="no bin/java")
        self.refused("--support", "--rehearse", says="stands alone")
        file = self.folder / "file"
        file.write_text("")
        self.refused("--out", str(file), says="no folder")


class CommandTest(StandInTest):
    def prove(self, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, str(ROOT / "prove"), *arguments], capture_output=True, text=True, check=False)

    def test_wrong_usage_is_one_line(self):
        done = self.prove("--wrong")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertEqual(len(done.stderr.splitlines()), 1)
        self.assertEqual(self.prove("--check", "--wrong").returncode, 2)
        self.assertEqual(self.prove("--check").returncode, 0)

    def test_a_rehearsal_without_the_emulated_driver(self):
        (self.folder / "lib").mkdir()
        done = self.prove("--rehearse", "--build", str(self.folder))
        self.assertEqual(done.returncode, 3)
        self.assertIn("the emulated driver", done.stderr)
        (self.folder / "simt" / "cuda").mkdir(parents=True)
        (self.folder / "simt" / "cuda" / "libcuda.so.1").write_text("no library")
        done = self.prove("--rehearse", "--build", str(self.folder))
        self.assertEqual(done.returncode, 3)
        self.assertIn("cannot be used", done.stderr)

    def made_by_prove(self):
        """Of the build folder: others build there at the same time."""
        return sorted(str(path) for path in (ROOT / "build").glob("prove*/*"))

    def test_without_a_gpu_it_says_what_is_not_proven(self):
        self.setting("LD_LIBRARY_PATH", self.driver())
        self.setting("FAKE_DEVICES", "0")
        before = self.made_by_prove()
        done = self.prove("--out", str(self.folder / "out"))
        self.assertEqual(done.returncode, 3, done.stderr)
        for word in ("finds no GPU", "the test suite on cuda", "30 workloads beside torch", "memcheck", "--rehearse"):
            self.assertIn(word, done.stderr)
        self.assertFalse((self.folder / "out").exists())
        self.assertEqual(self.made_by_prove(), before)
        less = self.prove("--only", "memcheck")
        self.assertNotIn("suite", less.stderr)
