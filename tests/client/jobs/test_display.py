"""What a person sees of a job's progress while one long pass runs, and after the searches have ended."""

import io
import time

from rich.console import Console

from actmax.client.jobs.display import Lines, Lively, pace
from actmax.v1 import job_pb2


def progress(evaluations=10, *, stopped_by="", stage="", left=125.0):
    search = job_pb2.SearchProgress(unit="fc[3]", optimizer="adam", evaluations=evaluations, best_response=1.0, stopped_by=stopped_by)
    return job_pb2.Progress(
        searches=[search], evaluations=evaluations, total_evaluations=100, evaluations_per_second=0.8, seconds_left=left, stage=stage
    )


def drawn(lively):
    written = io.StringIO()
    Console(file=written, width=120).print(lively._draw())
    return written.getvalue()


def test_the_time_left_runs_down_between_two_messages():
    assert pace(progress()) == "10 of 100 evaluations, 0.8 a second, 2:05 left"
    assert pace(progress(), 5.0) == "10 of 100 evaluations, 0.8 a second, 2:00 left"
    assert pace(progress(), 1e6) == "10 of 100 evaluations, 0.8 a second, 0:00 left"


def test_what_follows_the_searches_is_named():
    assert pace(progress(100, stopped_by="evaluations")) == "100 of 100 evaluations, all searches have ended"
    measuring = progress(100, stopped_by="evaluations", stage="measuring what was found: 3 of 64")
    assert pace(measuring) == "100 of 100 evaluations, measuring what was found: 3 of 64"


def test_the_live_table_has_a_clock(monkeypatch):
    lively = Lively(Console(file=io.StringIO()))
    lively.state("running")
    lively.progress(progress())
    before = drawn(lively)
    began = time.monotonic()
    monkeypatch.setattr("actmax.client.jobs.display.time.monotonic", lambda: began + 61)
    assert "running 0:00" in before
    assert "running 1:01" in drawn(lively)
    assert "1:04 left" in drawn(lively)


def test_lines_come_every_two_seconds_at_first_and_every_minute_after_days(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("actmax.client.jobs.display.time.monotonic", lambda: now[0])
    written = io.StringIO()
    lines = Lines(Console(file=written, width=120))

    def told(seconds):
        before = written.getvalue().count("\n")
        for _ in range(int(seconds)):
            now[0] += 1
            lines.progress(progress())
        return written.getvalue().count("\n") - before

    assert told(20) == 10
    now[0] += 3 * 86_400
    assert told(600) == 10
