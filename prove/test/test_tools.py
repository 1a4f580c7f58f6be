# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's tools and driver, played by stand-ins that print what the real ones print."""

import json
import subprocess
import sys

import cuda_driver
import java_api
import kernel_times
import sanitizers
import surroundings
from machine import ROOT
from phases import Absent, CutShort, Failed
from stand_ins import StandInTest

NCU = """\
==PROF== Connected to process 123 (/x/nearfield_bench)
{"ok":true,"rows":700}
"ID","Process ID","Process Name","Host Name","Kernel Name","Context","Stream","Block Size","Grid Size","Device","CC","Section Name","Metric Name","Metric Unit","Metric Value"
"0","123","nearfield_bench","127.0.0.1","move_t","1","7","(256, 1, 1)","(10, 1, 1)","0","9.0","Command line profiler metrics","gpu__time_duration.sum","ns","999,000"
"1","123","nearfield_bench","127.0.0.1","flat_m1_q4_c256(ScanParams, const float*)","1","7","(256, 1, 1)","(10, 1, 1)","0","9.0","x","gpu__time_duration.sum","ns","100,000"
"1","123","nearfield_bench","127.0.0.1","flat_m1_q4_c256(ScanParams, const float*)","1","7","(256, 1, 1)","(10, 1, 1)","0","9.0","x","dram__bytes_read.sum","byte","512,000,000"
"2","123","nearfield_bench","127.0.0.1","flat_m1_q4_c256(ScanParams, const float*)","1","7","(256, 1, 1)","(10, 1, 1)","0","9.0","x","gpu__time_duration.sum","us","200"
"3","123","nearfield_bench","127.0.0.1","merge_k","1","7","(256, 1, 1)","(10, 1, 1)","0","9.0","x","gpu__time_duration.sum","ns","n/a"
"""


class DriverTest(StandInTest):
    def ask(self, *arguments: str) -> dict:
        self.setting("LD_LIBRARY_PATH", self.driver())
        done = subprocess.run([sys.executable, cuda_driver.__file__, *arguments], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    def test_facts_and_rates(self):
        about = self.ask("--rates")
        self.assertEqual((about["name"], about["cuda"], about["compute_capability"]), ("Fake H200", "13.0", "9.0"))
        self.assertIsNone(about["l2_bytes"])  # the driver does not tell
        self.assertAlmostEqual(about["copy_bytes_per_s"], 2 * (8 << 20) / 0.002, delta=1)
        blocks = 132 * cuda_driver.BLOCKS_PER_UNIT
        operations = 2 * cuda_driver.CHAINS * cuda_driver.UNROLLED * cuda_driver.TURNS * cuda_driver.THREADS * blocks
        self.assertAlmostEqual(about["multiply_add_flops_per_s"] / (operations / 0.002), 1, delta=1e-6)

    def test_a_rate_that_cannot_be_had_is_named(self):
        self.setting("FAKE_NO_PTX", "1")
        about = self.ask("--rates")
        self.assertIn("cuModuleLoadData: CUresult 218", about["without_multiply_add_flops_per_s"])
        self.assertIn("copy_bytes_per_s", about)

    def test_no_device(self):
        self.setting("FAKE_DEVICES", "0")
        self.assertEqual(self.ask(), {"absent": "the NVIDIA driver finds no GPU"})

    def test_no_driver(self):
        self.setting("LD_LIBRARY_PATH", str(self.folder))
        about = surroundings.cuda_device({}, False)
        if "name" not in about:  # a machine with a GPU has one
            self.assertIn("libcuda.so.1", about["absent"])

    def test_the_kernel_can_be_assembled(self):
        found = surroundings.tool("ptxas") or next(map(str, (ROOT / "build" / "cuda").glob("toolkit-*/nvidia/cu*/bin/ptxas")), None)
        if found is None:
            self.skipTest("no ptxas: the CUDA backend was not built here")
        (self.folder / "it.ptx").write_text(cuda_driver.multiply_add_ptx())
        done = subprocess.run([found, "-arch=sm_90", "-v", self.folder / "it.ptx", "-o", self.folder / "it"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("0 bytes spill stores", done.stderr)

    def test_the_kernel_multiplies_as_often_as_is_counted(self):
        text = cuda_driver.multiply_add_ptx()
        self.assertEqual(text.count("fma.rn.f32"), cuda_driver.CHAINS * cuda_driver.UNROLLED)
        self.assertIn(f"setp.lt.u32 %p, %r4, {cuda_driver.TURNS};", text)


class SanitizerTest(StandInTest):
    def check(self, tool: str, printed: str, status: int = 0, seconds: float = 30) -> str:
        """compute-sanitizer that runs the suite, then prints; the entry is in self.entry."""
        self.tool("compute-sanitizer", f"""if [ "$1" = --version ]; then echo 'Version 2025.3.1'; exit; fi
printf '%s\\n' "$@" >'{self.folder}/arguments'
while [ "$1" != "{self.folder}/build/bin/nearfield_suite" ]; do shift; done
"$@"
cat <<'TEXT'
{printed}
TEXT
exit {status}""")  # fmt: skip
        self.entry = {}
        session = self.session(getattr(self, "made", None))
        self.made = session.build
        session.smoke_cases = ("--case", "score(metric=l2")
        return sanitizers.check(tool, session, self.entry, seconds)

    def test_clean(self):
        self.assertEqual(self.check("memcheck", "========= ERROR SUMMARY: 0 errors"), "0 faults in 1 cases")
        self.assertEqual(self.entry["tool"], ["Version 2025.3.1"])
        arguments = (self.folder / "arguments").read_text()
        for word in ("memcheck", "--smoke", "cuda"):
            self.assertIn(f"\n{word}\n", arguments)
        clean = "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)"
        self.assertEqual(self.check("racecheck", clean), "0 faults in 1 cases")

    def test_faults(self):
        text = "========= Invalid __global__ write of size 4 bytes\n=========     at flat+0x10\n========= ERROR SUMMARY: 3 errors"
        with self.assertRaisesRegex(Failed, "memcheck found 3 faults: Invalid __global__ write of size 4 bytes"):
            self.check("memcheck", text)
        text = "========= Error: Race reported between Write access at 0x10 and Read access: hazard\n========= RACECHECK SUMMARY: 1 hazard displayed"
        with self.assertRaisesRegex(Failed, "racecheck found 1 faults: Error: Race reported"):
            self.check("racecheck", text)

    def test_no_summary_is_no_proof(self):
        with self.assertRaisesRegex(Failed, "no summary: Segmentation fault"):
            self.check("memcheck", "Segmentation fault", status=1)

    def test_a_device_that_it_cannot_look_at(self):
        self.made = self.build()
        for text in ("========= Error: Device not supported. Please refer to the documentation", "========= Internal error 999"):
            self.tool("compute-sanitizer", f"[ \"$1\" != --version ] || exit; echo 'FAIL cuda score(metric=l2)'; echo '{text}'; exit 1")
            with self.assertRaisesRegex(Absent, "memcheck cannot look at this device: [EI]"):
                sanitizers.check("memcheck", self.session(self.made), {}, 30)

    def test_cut_short(self):
        self.tool("compute-sanitizer", "[ \"$1\" != --version ] || exit; echo 'ok       2.4 ms cuda score(metric=l2,dim=7)'; sleep 60")
        with self.assertRaisesRegex(CutShort, "no fault in the 1 cases"):
            sanitizers.check("memcheck", self.session(), {}, 1)

    def test_absent(self):
        self.setting("PATH", str(self.folder / "bin"))
        if surroundings.tool("compute-sanitizer") is None:
            with self.assertRaisesRegex(Absent, "compute-sanitizer is not here"):
                sanitizers.check("memcheck", self.session(), {}, 5)

    def test_races_on_metal(self):
        session = self.session()
        session.backend = "metal"
        with self.assertRaisesRegex(Absent, "races"):
            sanitizers.check("racecheck", session, {}, 5)


class NcuTest(StandInTest):
    def test_csv(self):
        first, second = kernel_times.read(NCU)  # without the kernel that lays out rows
        self.assertEqual((first.kernel, second.kernel), ("flat_m1_q4_c256", "flat_m1_q4_c256"))
        self.assertEqual((first.bytes_read, second.bytes_read), (512e6, 0))
        self.assertAlmostEqual(first.seconds, 100e-6)
        self.assertAlmostEqual(second.seconds, 200e-6)

    def test_a_search_is_all_its_launches_after_the_warm_up(self):
        launches = [kernel_times.Launch(name, us * 1e-6, 10) for us in (900, 10, 30, 20) for name in ("flat_a", "merge_a")]
        found = kernel_times.summary(launches, 1, 3)
        self.assertEqual((found["seconds"], found["min_s"], found["max_s"], found["bytes_read"]), (40e-6, 20e-6, 60e-6, 20))
        self.assertEqual(found["kernels"], {name: {"launches": 1, "seconds": 20e-6} for name in ("flat_a", "merge_a")})
        unlike = kernel_times.summary(launches[:-1], 1, 3)
        self.assertNotIn("min_s", unlike)
        self.assertEqual(unlike["seconds"], 475e-6)

    def test_a_workload(self):
        self.tool("ncu", f"while [ \"${{1#*/build/bin/}}\" = \"$1\" ]; do shift; done; \"$@\" >/dev/null; cat <<'TEXT'\n{NCU}TEXT")
        session, entry = self.session(), {}
        tool = session.ours()
        with session.workers(30):
            session.dataset(8, tool)
        self.assertEqual(kernel_times.measure(session, entry, 30), "2 workloads")
        first = entry["workloads"][0]
        self.assertAlmostEqual(first["seconds"], 300e-6 / (kernel_times.WARM_UP + kernel_times.CALLS))
        self.assertEqual(list(first["kernels"]), ["flat_m1_q4_c256"])
        with session.workers(30):
            session.dataset(8, session.ours(), "decaying")
        self.assertEqual(kernel_times.measure(session, entry, 30), "6 workloads")
        self.assertEqual([(w.get("scan_dtype"), w.get("spectrum"), w["batch"]) for w in entry["workloads"][2:]],
                         [("i8", spectrum, batch) for batch in (1, session.shape.batches[-1]) for spectrum in ("isotropic", "decaying")])
        session.device["compute_capability"] = kernel_times.WARPGROUPS
        entry.clear()
        self.assertEqual(kernel_times.measure(session, entry, 30), "7 workloads")
        self.assertEqual([w.get("path") for w in entry["workloads"][5:]], [None, "tf32-mma"])

    def test_what_ncu_could_not_do(self):
        session = self.session()
        with session.workers(30):
            session.dataset(8, session.ours())
        for text in ("==ERROR== Failed to initialize the profiler: LibraryNotLoaded", "==ERROR== ERR_NVGPUCTRPERM - no permission"):
            self.tool("ncu", f"echo '{text}'; exit 1")
            with self.assertRaisesRegex(Absent, f"ncu cannot look at this device: {text[10:22]}"):
                kernel_times.measure(session, {}, 30)
        self.tool("ncu", "echo '==ERROR== The application returned an error code (11).'; exit 1")
        with self.assertRaisesRegex(Failed, "status 1 and named no kernel: ==ERROR== The application"):
            kernel_times.measure(session, {}, 30)

    def test_without_data(self):
        self.tool("ncu", "exit 0")
        with self.assertRaisesRegex(Absent, "speed"):
            kernel_times.measure(self.session(), {}, 30)


class SurroundingsTest(StandInTest):
    def test_versions(self):
        self.tool("nvcc", "echo 'Cuda compilation tools, release 13.0, V13.0.88'")
        self.assertEqual(surroundings.nvcc_version(), "13.0")
        self.tool("nvidia-smi", "echo '580.159.03, 1980 MHz, 3201 MHz, 700.00 W, 31, Enabled, 96.00'")
        self.assertEqual(surroundings.nvidia_smi()["driver_version"], "580.159.03")
        self.tool("nvidia-smi", "echo 'NVIDIA-SMI has failed'; exit 9")
        self.assertEqual(surroundings.nvidia_smi(), {})

    def test_java_versions(self):
        self.tool("java", "echo 'openjdk version \"25.0.1\" 2026-10-21' >&2")
        self.assertEqual(surroundings.java_version(str(self.folder)), 25)
        self.tool("java", "exit 1")
        self.assertEqual(surroundings.java_version(str(self.folder)), 0)

    def test_a_carried_runtime_comes_before_that_of_the_machine(self):
        self.tool("java", "echo 'openjdk version \"25.0.1\" 2026-10-21' >&2")
        self.setting("JAVA_HOME", str(self.folder))
        self.addCleanup(setattr, java_api, "CARRIED", java_api.CARRIED)
        java_api.CARRIED = self.folder / "carry"
        session = self.session()
        self.assertEqual(java_api.home(session), str(self.folder))
        (self.folder / "carry" / "jre").mkdir(parents=True)
        (self.folder / "carry" / "jre" / "bin").symlink_to(self.folder / "bin")
        self.assertEqual(java_api.home(session), str(self.folder / "carry" / "jre"))

    def test_the_commit_of_sources_without_git(self):
        self.addCleanup(setattr, surroundings.machine, "commit", surroundings.machine.commit)
        surroundings.machine.commit = lambda: "unknown"
        self.setting("NEARFIELD_COMMIT", "")
        self.assertEqual(surroundings.commit(self.folder), "unknown")
        (self.folder / "commit").write_text("0123456789ab\n")
        (self.folder / "digest").write_text(f"{surroundings.digest()}\n")
        self.assertEqual(surroundings.commit(self.folder), "0123456789ab")
        (self.folder / "digest").write_text("of other sources\n")
        self.assertEqual(surroundings.commit(self.folder), "0123456789ab with local changes")
        self.setting("NEARFIELD_COMMIT", "feedfeedfeed")
        self.assertEqual(surroundings.commit(self.folder), "feedfeedfeed")

    def test_the_digest_is_of_names_and_bytes(self):
        (self.folder / "native" / "__pycache__").mkdir(parents=True)
        (self.folder / "native" / "a.cpp").write_text("int a;")
        before = surroundings.digest(self.folder)
        (self.folder / "native" / "__pycache__" / "a.pyc").write_text("made")
        self.assertEqual(surroundings.digest(self.folder), before)
        (self.folder / "native" / "a.cpp").rename(self.folder / "native" / "b.cpp")
        renamed = surroundings.digest(self.folder)
        (self.folder / "native" / "b.cpp").write_text("int b;")
        self.assertEqual(len({before, renamed, surroundings.digest(self.folder)}), 3)

    def test_library_paths_keep_what_stands_there(self):
        self.setting("LD_LIBRARY_PATH", "/of/the/driver")
        self.assertEqual(surroundings.library_path("/a", "/b"), "/a:/b:/of/the/driver")
        self.setting("LD_LIBRARY_PATH", "")
        self.assertEqual(surroundings.library_path("/a"), "/a")


