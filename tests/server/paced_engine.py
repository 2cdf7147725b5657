"""An engine whose timing and misfortunes are exact, for tests of what happens around a job. ``test_real_engine.py`` has the true one."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

from actmax.engine.errors import InvalidJob
from actmax.engine.spec import JobSpec
from actmax.server.execution.engine import Checked, Suspended
from actmax.v1 import job_pb2


class PacedEngine:
    """Takes ``optimizer.options``: ``pace`` (seconds a step), and a ``mishap`` at step ``at``, up to attempt ``until``.

    The mishap waits for the file ``awaits`` where one is named.
    """

    def warm(self, *, running=False):
        pass

    def check(self, spec, permissions):
        parsed = JobSpec.parse(spec)
        match parsed.target.name:
            case "unknown":
                raise InvalidJob.at("target.name", "there is no target 'unknown'; did you mean known?")
            case "many-faults":
                raise InvalidJob.at("units", "é" * 100_000)
            case "deadly":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "hungry":
                os.kill(os.getpid(), signal.SIGKILL)
            case "slow":
                time.sleep(60)
            case "broken":
                raise RuntimeError("no such luck")
        return Checked((parsed.budget.evaluations or 0) * len(parsed.units), len(parsed.units))

    def check_analyses(self, spec, permissions):
        parsed = JobSpec.parse(spec)
        if parsed.target.name == "gone":
            raise InvalidJob.at("target.options.weights", "the file is gone")
        for number, analysis in enumerate(parsed.analyses):
            if analysis.name != "count":
                raise InvalidJob.at(f"analyses[{number}].name", f"there is no analysis {analysis.name!r}; did you mean count?")

    def components(self):
        schema = {"properties": {"width": {"type": "integer", "default": float("inf")}}}
        return [{"kind": "target", "name": "known", "summary": "A target.", "options_schema": schema, "unavailable": ""}]

    def describe(self, target, permissions):
        if target.get("name") != "known":
            raise InvalidJob.at("target.name", "there is no such target")
        layers = [{"name": "out", "shape": [10], "kind": "spikes"}]
        return {"shape": [3, 4, 4], "modality": "image", "differentiable": True, "layers": layers}

    def run(self, task, *, on_progress, should_stop):
        parsed = JobSpec.parse(task.spec)
        options = parsed.optimizer.options
        checkpoint = task.folder / "checkpoint.json"
        state = json.loads(checkpoint.read_text()) if checkpoint.exists() else {"done": [], "attempts": 0}
        state["attempts"] += 1
        (task.folder / "pid").write_text(str(os.getpid()))
        total = parsed.budget.evaluations or 0
        reason = ""
        while len(state["done"]) < total:
            reason = should_stop()
            if reason == "suspend":
                _save(checkpoint, state)
                raise Suspended
            if reason == "cancel" and options.get("mishap") != "deaf":
                break
            if len(state["done"]) == options.get("at") and state["attempts"] <= options.get("until", 1):
                _save(checkpoint, state)
                while not Path(options.get("awaits", task.folder)).exists():
                    time.sleep(0.01)
                _mishap(options["mishap"])
            time.sleep(options.get("pace", 0.01))
            state["done"].append(len(state["done"]))
            _save(checkpoint, state)
            progress = job_pb2.Progress(evaluations=len(state["done"]), total_evaluations=total)
            progress.searches.add(unit=parsed.units[0], optimizer="paced", evaluations=len(state["done"]), best_response=float("nan"))
            on_progress(progress.SerializeToString())
        artifacts = task.folder / "artifacts"
        (artifacts / "stimuli").mkdir(parents=True, exist_ok=True)
        (artifacts / "result.json").write_text(json.dumps(state))
        (artifacts / "stimuli" / "one.png").write_bytes(bytes(range(256)) * options.get("kilobytes", 1) * 4)
        (artifacts / "empty.txt").touch()
        if options.get("device"):
            (artifacts / "device.txt").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", ""))
        (artifacts / "escape.txt").symlink_to("/etc/passwd")
        return reason == "cancel"

    def analyse(self, task, *, on_progress, should_stop):
        """Add a line to ``result.json``; the analysis ``count`` takes ``steps`` and the options of the optimizer."""
        options = JobSpec.parse(task.spec).analyses[0].options
        checkpoint, results = task.folder / "checkpoint.json", task.folder / "artifacts" / "result.json"
        state = json.loads(checkpoint.read_text()) if checkpoint.exists() else {"done": [], "attempts": 0}
        state["attempts"] += 1
        (task.folder / "pid").write_text(str(os.getpid()))
        found = json.loads(results.read_text())
        results.write_text("half")  # as where it is interrupted while it writes
        reason = ""
        while len(state["done"]) < options.get("steps", 1) and not reason:
            reason = should_stop()
            if reason == "suspend":
                _save(checkpoint, state)
                raise Suspended
            if len(state["done"]) == options.get("at") and state["attempts"] <= options.get("until", 1):
                _save(checkpoint, state)
                _mishap(options["mishap"])
            time.sleep(options.get("pace", 0.01))
            state["done"].append(len(state["done"]))
            _save(checkpoint, state)
            on_progress(job_pb2.Progress(stage=f"counting: {len(state['done'])}").SerializeToString())
        found.setdefault("sections", []).append({"counted": len(state["done"]), "title": options.get("title", "")})
        results.write_text(json.dumps(found))
        (results.parent / f"section-{len(found['sections'])}.png").write_bytes(b"figure")
        return reason == "cancel"


class SlowToWarm(PacedEngine):
    """As where much is to be imported."""

    def warm(self, *, running=False):
        time.sleep(2.0 if running else 0.0)


def _save(checkpoint, state):
    temporary = checkpoint.with_suffix(".writing")
    temporary.write_text(json.dumps(state))
    temporary.replace(checkpoint)


def _mishap(what):
    match what:
        case "sigkill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "server":
            os.kill(os.getppid(), signal.SIGKILL)  # as where it takes all the machine's memory
            time.sleep(60)
        case "exit":
            os._exit(3)
        case "disk":
            raise OSError(errno.ENOSPC, "No space left on device", "checkpoint.json")
        case "full":  # of this process's files, as a quota would
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
            with tempfile.TemporaryFile() as file:
                file.write(bytes(20_000))
        case "gobble":  # all the memory that it may have
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + (200 << 20), resource.RLIM_INFINITY))
            held = []
            while True:
                held.append(bytearray(16 << 20))
        case "permission":
            raise PermissionError(errno.EACCES, "Permission denied", "checkpoint.json")
        case "memory":
            raise MemoryError("4 TB")
        case "bug":
            raise ZeroDivisionError("division by zero")
        case "vanished":
            raise InvalidJob.at("target.options.weights", "the file is gone")


if __name__ == "__main__":  # a server of its own: paced_engine.py DATA ADDRESS [further settings as JSON]
    from actmax.server.app import serve
    from actmax.server.config import ServerConfig

    sys.path.insert(0, str(Path(__file__).parent))
    from paced_engine import PacedEngine as Engine

    settings = json.loads(sys.argv[3]) if len(sys.argv) > 3 else {}
    chosen = {"standby": False, "stop_seconds": 5, **settings}
    sys.exit(serve(ServerConfig(address=sys.argv[2], data=Path(sys.argv[1]), **chosen), engine=Engine()))
