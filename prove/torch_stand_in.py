# SPDX-License-Identifier: Apache-2.0
"""torch_stand_in.py [BUILD]: bench/peers/torch_worker.py as ./nearfield prove sees it, played by the native worker on the CPU, with what
torch adds. For rehearsals and tests; FAKE_TORCH in the environment: `cpu` sees no GPU, `dies` ends at the fifth run, `hangs` at a later
one, `wrong` answers with other rows, `f32` has no other precision."""

import json
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

BUILD = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "build" / "release"
MODE = os.environ.get("FAKE_TORCH", "")
inner = subprocess.Popen([str(BUILD / "bin" / "nearfield_bench")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
runs = 0
for line in sys.stdin:
    command = json.loads(line)
    name = command["command"]
    precision = command.pop("precision", "f32")
    if MODE == "f32" and precision != "f32":
        print(json.dumps({"ok": False, "error": f"no precision {precision}", "unsupported": True}), flush=True)
        continue
    if name == "tune":
        print(json.dumps({"ok": True, "settings": "as it likes"}), flush=True)
        continue
    if name == "limits":
        print(json.dumps({"ok": True, "copy_bytes_per_s": 5e9, "f32_flops_per_s": 9e13, "bf16_flops_per_s": 8e14}), flush=True)
        continue
    if name == "hello":
        command.update(backend="cpu", library=str(BUILD / "lib"))
    runs += name == "run"
    if MODE == "hangs" and runs == 60:
        time.sleep(600)
    if MODE == "dies" and runs == 5:
        sys.exit("out of memory")
    inner.stdin.write(json.dumps(command) + "\n")
    inner.stdin.flush()
    reply = json.loads(inner.stdout.readline())
    if name == "hello":
        reply.update(version="2.0", backend="cpu" if MODE == "cpu" else "cuda", device="Fake H200")
    if name == "answers" and MODE == "wrong":
        path = Path(command["to"] + ".rows")
        rows = path.read_bytes()
        path.write_bytes(struct.pack(f"<{len(rows) // 8}q", *[699] * (len(rows) // 8)))
    print(json.dumps(reply), flush=True)
