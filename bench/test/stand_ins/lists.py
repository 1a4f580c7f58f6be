# SPDX-License-Identifier: Apache-2.0
"""A peer with lists by the protocol, of the standard library alone: a search looks at the first rows only, as many as `probes` says, in tenths. Its
two choices answer alike; the second takes a hundred times as long. `lists.py [RUNS]`: ends itself at that run."""

import json
import struct
import sys
import time

ROWS_OF_A_LIST = 10
SECONDS = (0.0001, 0.01)


def rows_of(path: str) -> list[tuple]:
    with open(path, "rb") as file:
        rows, dim = struct.unpack("<II", file.read(8))
        return [struct.unpack(f"<{dim}f", file.read(4 * dim)) for _ in range(rows)]


def nearest(query: tuple, rows: list[tuple], k: int) -> list[tuple]:
    return sorted((sum((a - b) ** 2 for a, b in zip(query, row)), number) for number, row in enumerate(rows))[:k]


def main() -> None:
    left = int(sys.argv[1]) if len(sys.argv) > 1 else -1
    base, queries, k, probes, choice = [], [], 1, 1, 0
    for line in sys.stdin:
        command, reply = json.loads(line), {}
        name = command["command"]
        if name == "hello":
            reply = {"version": "1.0", "settings": "it", "device": "A device", "backend": "cpu", "threads": 1}
        elif name == "load":
            base = rows_of(command["base"])
            reply = {"rows": len(base), "seconds": 1.5, "build_s": 1.5, "choices": 2}
        elif name == "workload":
            queries, k = rows_of(command["queries"]), command["k"]
        elif name == "reach":
            probes, choice = command["probes"], command.get("choice", 0)
            reply = {"settings": f"choice {choice}"}
        elif name == "tune":
            reply = {"settings": "tuned"}
        elif name == "run":
            left -= 1
            if left == 0:
                sys.exit("no more")
            time.sleep(SECONDS[choice] * command.get("calls", 1))
            reply = {"seconds": SECONDS[choice] * command.get("calls", 1), "p50_s": SECONDS[choice]}
        elif name == "answers":
            with open(command["to"] + ".rows", "wb") as rows, open(command["to"] + ".distances", "wb") as distances:
                for query in queries[: command["count"]]:
                    found = nearest(query, base[: probes * ROWS_OF_A_LIST], k)
                    found += [(float("nan"), -1)] * (k - len(found))
                    rows.write(struct.pack(f"<{k}q", *(number for _, number in found)))
                    distances.write(struct.pack(f"<{k}f", *(distance for distance, _ in found)))
        print(json.dumps({"ok": True, **reply}), flush=True)


main()
