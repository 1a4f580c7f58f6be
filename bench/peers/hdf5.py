# SPDX-License-Identifier: Apache-2.0
"""ann-benchmarks files. `hdf5.py FILE` prints what is in one; `hdf5.py FILE FOLDER ROWS` writes base.fbin, queries.fbin and
truth.ibin. Exit status 2: the file is not what it was given as."""

import json
import sys

import h5py
import numpy as np

METRICS = {"euclidean": "l2", "angular": "cosine", "dot": "dot"}


def refuse(sentence: str) -> None:
    print(sentence, file=sys.stderr)
    raise SystemExit(2)


def write(path: str, dataset, rows: int, kind: str) -> None:
    with open(path, "wb") as out:
        np.array([rows, dataset.shape[1]], "<u4").tofile(out)
        step = max(1, (1 << 24) // (dataset.shape[1] * 4))
        for first in range(0, rows, step):
            dataset[first : min(first + step, rows)].astype(kind).tofile(out)


def main() -> None:
    path = sys.argv[1]
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        refuse(f"{path} is no HDF5 file: {error}")
    with file:
        for name in ("train", "test"):
            if name not in file or not isinstance(file[name], h5py.Dataset) or file[name].ndim != 2:
                refuse(f"{path} is no file of ann-benchmarks: it has no matrix '{name}'")
            if file[name].dtype.kind != "f" or 0 in file[name].shape:
                refuse(f"{path}: '{name}' is {file[name].dtype} of shape {file[name].shape}, it must be floats")
        train, test = file["train"], file["test"]
        if train.shape[1] != test.shape[1]:
            refuse(f"{path}: 'train' has {train.shape[1]} dimensions, 'test' has {test.shape[1]}")
        neighbours = file.get("neighbors")
        if neighbours is not None and (neighbours.ndim != 2 or neighbours.shape[0] != test.shape[0]):
            refuse(f"{path}: 'neighbors' has shape {neighbours.shape} for {test.shape[0]} queries")
        if len(sys.argv) > 2:
            folder, rows = sys.argv[2], int(sys.argv[3])
            write(f"{folder}/base.fbin", train, rows, "<f4")
            write(f"{folder}/queries.fbin", test, test.shape[0], "<f4")
            if neighbours is not None:
                write(f"{folder}/truth.ibin", neighbours, neighbours.shape[0], "<i4")
        distance = file.attrs.get("distance", "")
        distance = distance.decode() if isinstance(distance, bytes) else str(distance)
        print(json.dumps({
            "rows": train.shape[0], "dim": train.shape[1], "queries": test.shape[0], "metric": METRICS.get(distance),
            "neighbours": 0 if neighbours is None else neighbours.shape[1],
        }))  # fmt: skip


main()
