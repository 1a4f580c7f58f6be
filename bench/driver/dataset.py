# SPDX-License-Identifier: Apache-2.0
"""Base, queries and truth of one run, as .fbin files that every worker reads."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

import data
import machine
import peers
from errors import BenchError, Missing, UsageError, say
from options import Flat
from worker import Worker

# Several batches to choose from, so that no run finds the queries of the one before in a cache; single queries in plenty.
MANY_QUERIES, MANY_BATCHES = 1000, 2
# Rows of a file that has no queries beside it, held out as such: enough for the batches of every workload here, so that they share a base.
HELD = 2000


@dataclass
class Dataset:
    base: str  # .fbin
    queries: str  # .fbin
    rows: int
    dim: int
    query_count: int
    metric: str
    truth: data.Vectors | None  # of the whole base, in float64's or the file's opinion


def query_count(batch: int) -> int:
    return batch * max(MANY_BATCHES, math.ceil(MANY_QUERIES / batch))


def held(batch: int) -> int:
    """Rows of a file that are its queries."""
    return max(HELD, query_count(batch))


def check_memory(rows: int, dim: int, queries: int, options: Flat, systems: int) -> None:
    """Before anything is made. The base lies in the page cache, once in every system, and once more while one builds, or as codes; the
    queries in the cache and every system; the answers of a batch in every system, at every client."""
    answers = options.batch * options.k * 12 * options.clients  # int64 and f32
    needed = rows * dim * 4 * (systems + 2) + queries * dim * 4 * (systems + 1) + answers * systems
    available = machine.available_memory()
    if available is not None and needed > available:
        raise UsageError(
            f"{rows} rows x {dim} dimensions, {queries} queries and k={options.k} need {_bytes(needed)} of memory for "
            f"{systems} system(s) and the data, {_bytes(available)} are available")


def _bytes(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"


def _check_disk(folder: str, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if size > free:
        raise Missing(f"the data takes {_bytes(size)} in {folder}, {_bytes(free)} are free there")


def prepare(options: Flat, tool: Worker, folder: str, systems: int) -> Dataset:
    if options.base is None:
        return _synthetic(options, tool, folder, systems)
    if data.is_hdf5(options.base):
        return _hdf5(options, folder, systems)
    base = data.describe(options.base, ("fvecs", "fbin"))
    if options.queries is None:
        return _held_out(options, base, folder, systems)
    queries = data.describe(options.queries, ("fvecs", "fbin"))
    truth = data.describe(options.truth, ("ivecs", "ibin")) if options.truth else None
    if base.dim != queries.dim:
        raise UsageError(f"{base.path} has {base.dim} dimensions, {queries.path} has {queries.dim}")
    rows = _rows(options, base)
    _check_queries(options, queries)
    if truth is not None:
        _check_truth(options, truth, queries, rows)
    check_memory(rows, base.dim, queries.rows, options, systems)
    _check_disk(folder, data.copied(base, rows) + data.copied(queries, queries.rows))
    return Dataset(data.as_fbin(base, rows, f"{folder}/base.fbin"),
                   data.as_fbin(queries, queries.rows, f"{folder}/queries.fbin"),
                   rows, base.dim, queries.rows, options.metric, truth)  # fmt: skip


def _rows(options: Flat, base: data.Vectors, queries: int = 0) -> int:
    """Of the base, where so many more rows of the file are queries."""
    if options.dim is not None and options.dim != base.dim:
        raise UsageError(f"--dim={options.dim}, {base.path} has {base.dim} dimensions")
    rows = options.rows or max(1, base.rows - queries)
    if rows + queries > base.rows:
        beside = f", of which {queries} are held out as queries" if queries else ""
        raise UsageError(f"--rows={rows}, {base.path} has {base.rows} rows{beside}")
    return rows


def _held_out(options: Flat, base: data.Vectors, folder: str, systems: int) -> Dataset:
    """Rows at even distances are the queries, and no part of the base: what lies close together in a file is often alike."""
    count = held(options.batch)
    rows = _rows(options, base, count)
    check_memory(rows, base.dim, count, options, systems)
    _check_disk(folder, (rows + count) * base.dim * 4)
    made = Dataset(f"{folder}/base.fbin", f"{folder}/queries.fbin", rows, base.dim, count, options.metric, None)
    data.hold_out(base, rows, count, made.base, made.queries)
    return made


def _check_queries(options: Flat, queries: data.Vectors) -> None:
    if queries.rows < options.batch:
        raise UsageError(f"--batch={options.batch}, {queries.path} has {queries.rows} queries")


def _check_truth(options: Flat, truth: data.Vectors, queries: data.Vectors, rows: int) -> None:
    if truth.rows != queries.rows:
        raise UsageError(f"{truth.path} has neighbours of {truth.rows} queries, {queries.path} has {queries.rows}")
    if truth.dim < min(options.k, rows):
        raise UsageError(f"{truth.path} has {truth.dim} neighbours a query, k is {options.k}")


def _synthetic(options: Flat, tool: Worker, folder: str, systems: int) -> Dataset:
    count = query_count(options.batch)
    check_memory(options.rows, options.dim, count, options, systems)
    _check_disk(folder, (options.rows + count) * options.dim * 4)
    made = Dataset(f"{folder}/base.fbin", f"{folder}/queries.fbin", options.rows, options.dim, count, options.metric, None)
    common = {"dim": options.dim, "metric": options.metric, "spectrum": options.spectrum, "seed": options.seed}
    tool.ask("generate", to=made.base, rows=made.rows, **common)
    tool.ask("generate", to=made.queries, rows=count, first=made.rows, **common)
    return made


def _hdf5(options: Flat, folder: str, systems: int) -> Dataset:
    """h5py is installed when such a file is named; it runs in a process of its own."""
    data._open(options.base)[0].close()
    try:
        site = peers.install("hdf5")
    except peers.NotInstalled as failed:
        raise Missing(f"{options.base} needs h5py: {failed}") from None

    def read(*arguments: str) -> dict:
        done = subprocess.run([sys.executable, str(peers.FOLDER / "hdf5.py"), options.base, *arguments], text=True,
                              capture_output=True, check=False, env={**os.environ, "PYTHONPATH": str(site)})  # fmt: skip
        if done.returncode == 2:
            raise UsageError(done.stderr.strip())
        if done.returncode != 0:
            raise BenchError(f"{options.base} cannot be read: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
        return json.loads(done.stdout)

    about = read()
    base = data.Vectors(options.base, about["rows"], about["dim"], 0, 0)
    rows = _rows(options, base)
    _check_queries(options, data.Vectors(options.base, about["queries"], about["dim"], 0, 0))
    metric = options.metric if "metric" in options.given else about["metric"] or options.metric
    check_memory(rows, base.dim, about["queries"], options, systems)
    _check_disk(folder, (rows + about["queries"]) * base.dim * 4)
    read(folder, str(rows))
    truth = None
    if rows == base.rows and metric == about["metric"] and about["neighbours"] >= min(options.k, rows):
        truth = data.describe(f"{folder}/truth.ibin", ("ibin",))
    elif about["neighbours"]:
        say(f"The neighbours in {options.base} are of another metric, of more rows or too few: computed in float64 instead")
    return Dataset(f"{folder}/base.fbin", f"{folder}/queries.fbin", rows, base.dim, about["queries"], metric, truth)
