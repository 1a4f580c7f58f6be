# SPDX-License-Identifier: Apache-2.0
"""A worker process: one command a line in, one reply a line out (bench/README.md)."""

from __future__ import annotations

import json
import os
import subprocess

from errors import BenchError, say

PATIENCE = 2  # seconds for a worker that has been asked to end
KILL_SECONDS = 10  # for the kernel to take a killed process away: its gigabytes of rows are freed page by page


class WorkerFailed(BenchError):
    """A command failed, or the process died; `unsupported` when the system only lacks what was asked."""

    def __init__(self, sentence: str, unsupported: bool = False):
        super().__init__(sentence)
        self.unsupported = unsupported


class Worker:
    running: set["Worker"] = set()

    def __init__(self, name: str, command: list[str], log: str, environment: dict[str, str] | None = None):
        self.name = name
        self.log = log
        # Its own session: an interrupt of the terminal reaches the driver alone, which then ends its workers.
        with open(log, "ab") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, encoding="utf-8",
                env={**os.environ, **(environment or {})}, start_new_session=True)  # fmt: skip
        Worker.running.add(self)

    def ask(self, command: str, **keys) -> dict:
        try:
            self.process.stdin.write(json.dumps({"command": command, **keys}, ensure_ascii=False) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise WorkerFailed(f"{self.name}: the worker ended at '{command}' with {self._end()}")
        try:
            reply = json.loads(line)
        except ValueError:
            raise WorkerFailed(f"{self.name}: '{command}' was answered with '{line.strip()[:200]}'") from None
        if not reply.get("ok"):
            raise WorkerFailed(f"{self.name}: {reply.get('error', line.strip())}", reply.get("unsupported", False))
        return reply

    def _end(self) -> str:
        try:
            status = self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:  # it closed its output and went on
            self._kill()
            return "its output closed"
        with open(self.log, encoding="utf-8", errors="replace") as log:
            lines = log.read().strip().splitlines()
        cause = f"signal {-status}" if status < 0 else f"status {status}"
        return f"{cause}: {lines[-1]}" if lines else cause

    def stop(self) -> None:
        Worker.running.discard(self)
        for stream in (self.process.stdin, self.process.stdout):
            try:
                stream.close()
            except OSError:  # what was not yet written to a worker that has gone
                pass
        try:
            self.process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._kill()

    def _kill(self) -> None:
        """A process that the kernel holds (a device that does not answer) outlives its kill: it is left behind, and said to be."""
        self.process.kill()
        try:
            self.process.wait(timeout=KILL_SECONDS)
        except subprocess.TimeoutExpired:
            say(f"{self.name}: process {self.process.pid} is still there {KILL_SECONDS} s after it was killed; going on without it")

    @classmethod
    def stop_all(cls) -> None:
        """At once: a worker may be in the middle of minutes of work."""
        for worker in list(cls.running):
            worker.process.kill()
        for worker in list(cls.running):
            worker.stop()
