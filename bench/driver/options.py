# SPDX-License-Identifier: Apache-2.0
"""The command line: what may be asked for, checked before anything is built, made or started."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import library
from errors import Missing, UsageError

METRICS = ("l2", "cosine", "dot", "poincare", "manhattan")
BACKENDS = ("cpu", "wgpu", "cuda", "metal")
PEERS = ("faiss", "usearch", "numpy")
# Of scans: those that leave rows or dimensions out, and faiss, which does not.
SCAN_PEERS = ("faiss", "panorama", "panorama-threads", "faiss-sq8")
# On request: faiss as it comes, not tuned; the torch that this machine has.
MORE_PEERS = ("faiss-default", "torch") + SCAN_PEERS[1:]
# Of indexes with lists or graphs, and of clusterings: `faiss` stands for all of its own.
LIST_PEERS = ("faiss-ivfflat", "faiss-ivfpanorama", "faiss-ivfsq8", "faiss-ivfrabitq", "hnswlib", "usearch-hnsw")
KMEANS_PEERS = ("faiss-kmeans", "faiss-superkmeans", "superkmeans")
SPECTRA = ("isotropic", "decaying", "clusters", "overlapping")
PATHS = ("avx512", "avx2", "neon", "emu128")
MOST = 2**32 - 1  # rows and dimensions of an .fbin file
MOST_K = 2**31 - 1
MOST_ARRAY = 2**31 - 9  # elements of an array in Java


@dataclass
class Flat:
    """One workload and how it is measured."""

    rows: int | None = None
    dim: int | None = None
    batch: int = 1000
    k: int = 10
    metric: str = "l2"
    spectrum: str = "isotropic"
    backend: str = "cpu"
    library: str = field(default_factory=library.default)
    local: bool = False
    peers: tuple[str, ...] = PEERS
    java: bool = False
    clients: int = 1
    threads: int = 0
    path: str = ""
    repeats: int = 5
    seconds: float = 5.0
    seed: int = 1
    base: str | None = None
    queries: str | None = None
    truth: str | None = None
    format: str = "table"
    out: str | None = None
    given: set[str] = field(default_factory=set)  # which of these the user named
    workload: str = "flat"
    scans: tuple[str, ...] = ("f32",)  # the dtypes that our index is scanned in, each a system of its own
    max_oversample: float = 0.0
    data: str = "isotropic"  # in records: the spectrum, or the name of the file
    peak_flops: float = 0.0  # measured before on this machine; a peak is what was ever reached


@dataclass
class All:
    out: str | None = None
    library: str = field(default_factory=library.default)
    peers: tuple[str, ...] = PEERS + MORE_PEERS + LIST_PEERS + KMEANS_PEERS
    threads: int = 0
    quick: bool = False
    only: str = ""
    embeddings: str | None = None
    given: set[str] = field(default_factory=set)


def whole_number(name: str, text: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError:
        raise UsageError(f"{name}={text} is no whole number") from None
    if not least <= number <= most:
        raise UsageError(f"{name}={text}, it must be from {least} to {most}")
    return number


def number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{name}={text} is no number") from None


def _seconds(name: str, text: str) -> float:
    seconds = number(name, text)
    if not 0 <= seconds <= 86400:
        raise UsageError(f"{name}={text}, it must be from 0 to 86400")
    return seconds


def _oversample(name: str, text: str) -> float:
    factor = number(name, text)
    if factor != 0 and not 1 <= factor <= MOST:
        raise UsageError(f"{name}={text}, it must be 0 (no cap) or from 1 to {MOST}")
    return factor


def _one_of(name: str, text: str, known: tuple[str, ...]) -> str:
    if text not in known:
        raise UsageError(f"{name}={text} is not known; there are {', '.join(known)}")
    return text


def _peers(name: str, text: str, known: tuple[str, ...] = PEERS + MORE_PEERS) -> tuple[str, ...]:
    if text == "none":
        return ()
    names = tuple(text.split(","))
    for peer in names:
        _one_of(name, peer, known + ("none",))
    if "none" in names or len(set(names)) < len(names):
        raise UsageError(f"{name}={text} names a peer twice, or none beside others")
    return names


_VALUES = {
    "rows": lambda n, t: whole_number(n, t, 1, MOST),
    "dim": lambda n, t: whole_number(n, t, 1, MOST),
    "batch": lambda n, t: whole_number(n, t, 1, MOST),
    "k": lambda n, t: whole_number(n, t, 1, MOST_K),
    "clients": lambda n, t: whole_number(n, t, 1, 1024),
    "threads": lambda n, t: whole_number(n, t, 1, 1024),
    "repeats": lambda n, t: whole_number(n, t, 1, 10**6),
    "seed": lambda n, t: whole_number(n, t, 0, 2**63 - 1),
    "seconds": _seconds,
    "max_oversample": _oversample,
    "spectrum": lambda n, t: _one_of(n, t, SPECTRA),
    "metric": lambda n, t: _one_of(n, t, METRICS),
    "backend": lambda n, t: _one_of(n, t, BACKENDS),
    "library": library.check,
    "path": lambda n, t: _one_of(n, t, PATHS),
    "format": lambda n, t: _one_of(n, t, ("table", "json")),
    "peers": _peers,
}


def _parse(into, command: str, arguments: list[str], flags: tuple[str, ...] = (), hidden: tuple[str, ...] = ("given",), own: dict | None = None) -> list[str]:
    """Fills `into` from --name value and --name=value; answers what is no option. `own` are parsers of the command's own options."""
    rest, at = [], 0
    while at < len(arguments):
        argument = arguments[at]
        at += 1
        if not argument.startswith("--"):
            rest.append(argument)
            continue
        option, equals, value = argument[2:].partition("=")
        name = option.replace("-", "_")
        if "_" in option or name in hidden or not hasattr(into, name):
            raise UsageError(f"bench {command}: unknown option '--{option}'; see ./nearfield bench --help")
        if name in flags:
            if equals:
                raise UsageError(f"bench {command}: --{option} takes no value")
            setattr(into, name, True)
        else:
            if not equals:
                if at == len(arguments):
                    raise UsageError(f"bench {command}: --{option} takes a value; see ./nearfield bench --help")
                value = arguments[at]
                at += 1
            if value == "":
                raise UsageError(f"bench {command}: --{option} is empty")
            parse = {**_VALUES, **(own or {})}.get(name, lambda _, text: text)
            setattr(into, name, parse(f"bench {command}: --{option}", value))
        into.given.add(name)
    return rest


def flat(arguments: list[str]) -> Flat:
    return parsed_workload("flat", Flat(), arguments, ("max_oversample",))


def scan(arguments: list[str]) -> Flat:
    """As flat, with our index once in f32 and once with codes."""
    options = parsed_workload("scan", Flat(workload="scan", scans=("f32", "i8"), peers=SCAN_PEERS), arguments, ())
    if options.metric == "manhattan":
        raise UsageError("bench scan: --metric=manhattan has no codes, there are l2, cosine, dot and poincare")
    return options


def parsed_workload(command: str, options: Flat, arguments: list[str], hidden: tuple[str, ...], flags: tuple[str, ...] = (), own: dict | None = None) -> Flat:
    hidden += ("given", "workload", "scans", "data", "peak_flops")
    for extra in _parse(options, command, arguments, ("java", "local", *flags), hidden, own):
        raise UsageError(f"bench {command}: '{extra}' is no option; see ./nearfield bench --help")
    hdf5 = options.base is not None and options.base.lower().endswith((".hdf5", ".h5"))
    for name in ("queries", "truth"):
        if getattr(options, name) is not None and options.base is None:
            raise UsageError(f"bench {command}: --{name} needs --base, synthetic rows have their own")
        if getattr(options, name) is not None and hdf5:
            raise UsageError(f"bench {command}: --{name} beside an .hdf5 file, which has its own")
    if options.truth is not None and options.queries is None:
        raise UsageError(f"bench {command}: --truth needs --queries, whose neighbours it has")
    for name in ("seed", "spectrum"):
        if options.base is not None and name in options.given:
            raise UsageError(f"bench {command}: --{name} is for synthetic rows, --base names a file")
    if options.truth is not None and "rows" in options.given:
        raise UsageError(f"bench {command}: --truth holds for all rows of the base, --rows takes a part of them")
    if options.java and options.path:
        raise UsageError(f"bench {command}: --java with --path={options.path}, the Java API takes the best path")
    if options.backend == "metal" and options.library == library.PACKAGED:
        raise Missing(f"bench {command}: --backend=metal is for macOS, where --library=local is the default")
    if options.local and options.library == library.LOCAL:
        raise UsageError(f"bench {command}: --local beside --library={library.LOCAL}, that is the same library")
    if options.base is None:
        options.rows = options.rows or (262_144 if command == "kmeans" else 1_000_000)
        options.dim = options.dim or 128
    options.data = Path(options.base).stem if options.base is not None else options.spectrum
    return options


def everything(arguments: list[str]) -> All:
    options = All()
    own = {"peers": lambda name, text: _peers(name, text, options.peers)}
    for extra in _parse(options, "all", arguments, ("quick",), own=own):
        raise UsageError(f"bench all: '{extra}' is no option; see ./nearfield bench --help")
    if options.out is None:
        raise UsageError("bench all: --out FOLDER is needed")
    if options.embeddings is not None and not os.path.isfile(options.embeddings):
        raise UsageError(f"bench all: --embeddings={options.embeddings} is no file")
    return options


@dataclass
class Turns:
    rows: int = 10_000_000
    library: str = field(default_factory=library.default)
    api: str | None = None
    only: str = ""
    quick: bool = False
    before: str | None = None
    format: str = "table"
    out: str | None = None
    given: set[str] = field(default_factory=set)


def turns(arguments: list[str]) -> Turns:
    options = Turns()
    for extra in _parse(options, "turns", arguments, ("quick",)):
        raise UsageError(f"bench turns: '{extra}' is no option; see ./nearfield bench --help")
    if options.rows > MOST_ARRAY:
        raise UsageError(f"bench turns: --rows={options.rows}, it must be from 1 to {MOST_ARRAY}")
    if options.before is not None and not os.path.isfile(options.before):
        raise UsageError(f"bench turns: --before={options.before} is no file")
    if options.before is not None and options.format == "json":
        raise UsageError("bench turns: --before is for the table, --format=json has this run's records alone")
    if options.api is not None and not os.path.exists(options.api if options.api.endswith(".jar") else f"{options.api}/dev/nearfield/Knn.class"):
        raise UsageError(f"bench turns: --api={options.api} is neither a jar nor a folder of the API's classes")
    return options


@dataclass
class ReportOptions:
    out: str = "docs/benchmarks.md"
    records: list[str] = field(default_factory=list)
    given: set[str] = field(default_factory=set)


def report(arguments: list[str]) -> ReportOptions:
    options = ReportOptions()
    options.records = _parse(options, "report", arguments)
    if "records" in options.given:
        raise UsageError("bench report: unknown option '--records'; see ./nearfield bench --help")
    if not options.records:
        raise UsageError("bench report: no records named")
    if not options.out.endswith(".md"):
        raise UsageError(f"bench report: --out={options.out} does not end in .md")
    return options
