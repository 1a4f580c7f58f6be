# SPDX-License-Identifier: Apache-2.0
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import library
import machine
import options
import peers
from errors import Missing, UsageError


class FlatOptionsTest(unittest.TestCase):
    def test_all_of_the_issue(self):
        chosen = options.flat("--rows 1000000 --dim 128 --batch 1000 --k 10 --metric l2 --backend cpu --peers faiss --format json".split())
        self.assertEqual((chosen.rows, chosen.dim, chosen.batch, chosen.k), (1000000, 128, 1000, 10))
        self.assertEqual((chosen.metric, chosen.backend, chosen.peers, chosen.format), ("l2", "cpu", ("faiss",), "json"))

    def test_defaults(self):
        chosen = options.flat([])
        self.assertEqual((chosen.rows, chosen.dim, chosen.peers), (1000000, 128, ("faiss", "usearch", "numpy")))

    def test_equals_sign(self):
        self.assertEqual(options.flat(["--rows=7", "--peers=none"]).rows, 7)
        self.assertEqual(options.flat(["--peers=none"]).peers, ())

    def refused(self, arguments: str, *words: str):
        with self.assertRaises(UsageError) as caught:
            options.flat(arguments.split())
        for word in words:
            self.assertIn(word, str(caught.exception))
        self.assertNotIn("\n", str(caught.exception))

    def test_refused(self):
        self.refused("--frobnicate 3", "--frobnicate")
        self.refused("--given 3", "--given")
        self.refused("--workload x", "--workload")
        self.refused("--peak_flops 1", "--peak_flops")
        self.refused("extra", "extra")
        self.refused("--rows", "takes a value")
        self.refused("--rows=", "empty")
        self.refused("--rows 0", "0", "from 1")
        self.refused("--rows -5", "-5")
        self.refused("--rows 1e6", "1e6")
        self.refused("--rows 5000000000", "4294967295")
        self.refused("--dim x", "x")
        self.refused("--k 0", "k=0")
        self.refused("--k 3000000000", "2147483647")
        self.refused("--metric hamming", "hamming", "poincare")
        self.refused("--backend opencl", "opencl", "cuda", "wgpu")
        self.assertEqual(options.flat("--backend metal --library local --peers torch".split()).peers, ("torch",))
        self.refused("--library other", "other", "packaged", "local", "folder")
        self.refused("--library local --local", "--local", "same library")
        self.refused("--local=yes", "--local")
        self.refused("--peers annoy", "annoy", "usearch")
        self.refused("--peers faiss,faiss", "twice")
        self.refused("--peers faiss,none", "none")
        self.refused("--peers ,", "not known")
        self.refused("--path sse2", "sse2", "avx2")
        self.refused("--format xml", "xml", "json")
        self.refused("--seconds nan", "nan")
        self.refused("--seconds forever", "forever")
        self.refused("--java=yes", "--java")
        self.refused("--java --path avx2", "--java", "--path=avx2")
        self.refused("--queries q.fvecs", "--base")
        self.refused("--base b.fvecs --truth t.ivecs", "--truth", "--queries")
        self.refused("--base b.fvecs --spectrum decaying", "--spectrum", "--base")
        self.refused("--spectrum pink", "pink", "isotropic, decaying, clusters")
        self.refused("--max-oversample 2", "--max-oversample")
        self.refused("--data x", "--data")
        self.refused("--base b.hdf5 --queries q.fvecs", "its own")
        self.refused("--base b.fbin --queries q.fbin --seed 4", "--seed")
        self.refused("--base b.fbin --queries q.fbin --truth t.ivecs --rows 5", "--truth", "--rows")


class ScanOptionsTest(unittest.TestCase):
    def test_flags_of_flat_and_its_own(self):
        chosen = options.scan("--rows 5000 --dim 64 --batch 4 --spectrum decaying --max-oversample 1.5 --format json".split())
        self.assertEqual((chosen.workload, chosen.scans, chosen.data, chosen.max_oversample), ("scan", ("f32", "i8"), "decaying", 1.5))
        self.assertEqual(chosen.peers, ("faiss", "panorama", "panorama-threads", "faiss-sq8"))
        self.assertEqual(options.scan(["--max-oversample=0", "--peers", "none"]).max_oversample, 0)
        self.assertEqual(options.scan(["--base", "some/where/texts.fbin"]).data, "texts")

    def test_refused(self):
        for arguments, words in (
            ("--max-oversample nan", ("--max-oversample=nan", "from 1")), ("--max-oversample -1", ("-1", "from 1")), ("--max-oversample 0.5", ("0.5", "from 1")),
            ("--max-oversample inf", ("inf",)), ("--max-oversample many", ("many", "no number")), ("--max_oversample 2", ("--max_oversample", "unknown")),
            ("--metric manhattan", ("manhattan", "no codes")), ("--scans i8", ("--scans",)), ("extra", ("bench scan", "extra")),
        ):  # fmt: skip
            with self.assertRaises(UsageError, msg=arguments) as caught:
                options.scan(arguments.split())
            for word in words:
                self.assertIn(word, str(caught.exception))


class LibraryTest(unittest.TestCase):
    """What is shipped is what is measured, unless it is said otherwise."""

    def on(self, system: str, processor: str):
        for name, value in (("system", system), ("machine", processor)):
            replaced = mock.patch.object(library.platform, name, return_value=value)
            replaced.start()
            self.addCleanup(replaced.stop)

    def test_default(self):
        for system, processor, expected in (("Linux", "x86_64", "packaged"), ("Linux", "aarch64", "packaged"), ("Darwin", "arm64", "local")):
            self.on(system, processor)
            self.assertEqual(options.flat([]).library, expected)
            self.assertEqual(options.everything(["--out", "x"]).library, expected)

    def test_packaged_where_nothing_is(self):
        self.on("Darwin", "arm64")
        with self.assertRaises(UsageError) as caught:
            options.flat(["--library", "packaged"])
        self.assertIn("Darwin arm64", str(caught.exception))

    def test_metal_is_not_packaged_on_linux(self):
        self.on("Linux", "x86_64")
        with self.assertRaises(Missing):
            options.flat(["--backend", "metal"])

    def test_platforms_are_those_of_the_presets(self):
        presets = json.loads((machine.ROOT / "CMakePresets.json").read_text(encoding="utf-8"))["configurePresets"]
        shipped = {p["name"].removeprefix("dist-") for p in presets if p["name"].startswith("dist-linux")}
        self.assertEqual(set(library.PLATFORMS.values()), shipped)

    def test_the_file_in_the_jar_is_taken(self):
        with tempfile.TemporaryDirectory() as root, mock.patch.object(library, "ROOT", Path(root)):
            self.on("Linux", "x86_64")
            for chosen, place in (("packaged", "build/dist-linux-x86_64/jar/cpu/META-INF/nearfield/cpu/linux-x86_64"),
                                  ("local", "build/release/lib"), (f"{root}/own", "own")):  # fmt: skip
                with self.assertRaises(Missing):
                    library.find(chosen, "cpu")
                Path(root, place).mkdir(parents=True)
                Path(root, place, f"libnearfield_cpu{library.SUFFIX}").touch()
                self.assertEqual(library.find(chosen, "cpu").folder, Path(root, place).resolve())


class PeersTest(unittest.TestCase):
    def variants(self, *cores: str, path: str = "") -> list[dict[str, str]]:
        with mock.patch.object(peers, "detected_cores", return_value=frozenset(cores)), mock.patch.object(peers, "cpu_flags", return_value=["avx512f"]), \
             mock.patch.object(peers.platform, "machine", return_value="x86_64"):  # fmt: skip
            return peers.variants("faiss", path)

    def test_the_same_kernels_are_tuned_once(self):
        both = [{}, {"OPENBLAS_CORETYPE": "SkylakeX"}]
        self.assertEqual(self.variants("SkylakeX", "Zen"), both)
        self.assertEqual(self.variants("Haswell"), both)
        self.assertEqual(self.variants(), both, "nothing was said")
        self.assertEqual(self.variants("SkylakeX"), [{}])
        self.assertEqual(self.variants("SapphireRapids", "SkylakeX"), [{}])
        self.assertEqual(len(self.variants("SkylakeX", path="avx2")), 2)


    def test_names_that_are_no_packages(self):
        self.assertEqual([peers.package_of(name) for name in (*options.SCAN_PEERS, "faiss-default", "numpy")], ["faiss"] * 5 + ["numpy"])
        for name in options.PEERS + options.MORE_PEERS:
            self.assertTrue((peers.FOLDER / f"{peers.system_of(name).replace('-', '_')}_worker.py").is_file(), name)
        self.assertEqual([peers.batch_of(name, 1, 4) for name in ("panorama", "panorama-threads")], [1, 4])


class OtherOptionsTest(unittest.TestCase):
    def test_all(self):
        chosen = options.everything("--out folder --quick --only curve --threads 3".split())
        self.assertEqual((chosen.out, chosen.quick, chosen.only, chosen.threads), ("folder", True, "curve", 3))
        for wrong in ("", "--out", "--out x --rows 3", "--out x --quick=1", "x --out y", "--out x --embeddings none.fbin"):
            with self.assertRaises(UsageError, msg=wrong):
                options.everything(wrong.split())

    def test_report(self):
        chosen = options.report("a.json b.json --out x.md".split())
        self.assertEqual((chosen.records, chosen.out), (["a.json", "b.json"], "x.md"))
        for wrong in ("", "--out x.md", "a.json --out x.html", "a.json --frob 1", "--records a.json"):
            with self.assertRaises(UsageError, msg=wrong):
                options.report(wrong.split())
