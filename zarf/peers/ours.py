"""Our side of a comparison: a bench binary that runs commands, line by line, and whose CPU time is measured."""

import glob
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def binary(bench):
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    found = [path for path in glob.glob(str(target / f"release/deps/{bench}-*")) if not path.endswith(".d")]
    if not found:
        sys.exit(f"{bench} is not built: run cargo bench --locked --bench {bench} --no-run")
    return max(found, key=os.path.getmtime)


class Ours:
    def __init__(self, bench, *arguments, cores=(0,)):
        self.process = subprocess.Popen(
            [binary(bench), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        assert self.process.stdout.readline().strip() == "ready"

    def cpu(self):
        """Seconds of CPU of all its threads, to the nanosecond."""
        tasks = glob.glob(f"/proc/{self.process.pid}/task/*/schedstat")
        return sum(int(Path(task).read_text().split()[0]) for task in tasks) / 1e9

    def ask(self, line):
        """Runs one line and returns the answer."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        assert answer, f"{line}: the process has ended"
        return answer

    def run(self, line):
        """Runs one line and returns its CPU seconds."""
        before = self.cpu()
        assert self.ask(line) == "done"
        return self.cpu() - before

    def end(self):
        self.process.stdin.close()
        self.process.wait()
