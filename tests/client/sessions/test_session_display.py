"""The live view of a session says where it stands."""

from __future__ import annotations

import io

from rich.console import Console

from actmax.client.sessions.display import Pace, session_display, sparks, standing
from actmax.client.sessions.protocol import Generation
from actmax.v1 import session_pb2
from actmax.v1 import session_service_pb2 as pb


def thread(name: str, number: int, response: float, unit: str = "a", **more) -> session_pb2.ThreadProgress:
    found = session_pb2.Recommendation(response=response, low=response - 1, high=response + 1, measurements=3)
    evaluations = 50 * number
    return session_pb2.ThreadProgress(name=name, unit=unit, evaluations=evaluations, total_evaluations=500, recommendation=found, **more)


def generation(number: int, response: float, threads=()) -> Generation:
    progress = session_pb2.SessionProgress(
        generation=number, evaluations=100 * number, total_evaluations=1000, told=110 * number, missed=3, late=1, reference=2.5, gain=0.9
    )
    found = session_pb2.Recommendation(response=response, low=response - 2, high=response + 2, measurements=4)
    found.over_references.CopyFrom(session_pb2.Comparison(difference=6.5, p_value=0.01))
    return Generation.of(
        pb.Generation(
            generation=number,
            trials=[1, 2],
            kinds=["TRIAL_KIND_CANDIDATE", "TRIAL_KIND_REFERENCE"],
            progress=progress,
            recommendation=found,
            thread_progress=threads,
        )
    )


def test_a_terminal_shows_where_it_stands_and_how_it_came_there():
    console = Console(file=io.StringIO(), force_terminal=True, width=120, height=40, color_system=None, _environ={"TERM": "xterm"})
    with session_display(console) as display:
        display.name("sessions/x")
        for number in range(1, 6):
            display.asked(generation(number, 10.0 + number))
            display.generation(generation(number, 10.0 + number))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for text in ("sessions/x", "500 of 1,000", "15 (13 to 17), 4 measurements", "▁▃▅▇█", "+6.5, p = 0.0100", "4 of 554 (1 late)"):
        assert text in shown
    for name in ("references", "gain", "latency", "left"):
        assert name in shown


def test_elsewhere_a_line_says_it():
    console = Console(file=io.StringIO(), width=200)
    with session_display(console) as display:
        display.name("sessions/x")
        display.asked(generation(1, 4.0))
        display.generation(generation(1, 4.0))
    assert "generation 1, evaluations 100 of 1,000, recommended 4 (2 to 6)" in console.file.getvalue()  # type: ignore[attr-defined]


def test_every_thread_is_shown():
    console = Console(file=io.StringIO(), force_terminal=True, width=120, height=40, color_system=None, _environ={"TERM": "xterm"})
    line = Console(file=io.StringIO(), width=400)
    with session_display(console) as display, session_display(line) as lines:
        for number in range(1, 6):
            threads = [thread("cma", number, 10.0 + number), thread("random", number, 9.0 - number, remeasuring=number > 3)]
            for each in (display, lines):
                each.asked(generation(number, 10.0 + number, threads))
                each.generation(generation(number, 10.0 + number, threads))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    last = {text.split()[0]: text for text in shown.splitlines() if text.strip()}
    assert last["generation"].split()[1] == "5"
    assert "15 (14 to 16), 3 measurements (250 of 500)" in last["cma"]
    assert "▁▃▅▇█" in last["cma"]
    assert "4 (3 to 5), 3 measurements (250 of 500, measured again)" in last["random"]
    assert "█▇▅▃▁" in last["random"]
    assert "recommended" not in shown  # which would be the first one's alone
    said = line.file.getvalue().splitlines()[0]  # type: ignore[attr-defined]
    assert "cma 11 (10 to 12), 3 measurements (50 of 500), random 8 (7 to 9)" in said


def test_threads_after_other_units_say_which():
    threads = [thread("one", 2, 4.0), thread("two", 2, 6.0, unit="b", stopped_by="plateau")]
    assert standing(threads[1], threads) == "6 (5 to 7), 3 measurements (b, 100 of 500, ended by plateau)"


def test_what_is_waited_for_is_said_once():
    console = Console(file=io.StringIO(), width=200)
    with session_display(console) as display:
        for _ in range(3):
            display.trouble("sessions/x waits for its generator")
        display.asked(generation(1, 4.0))
        display.trouble("another time")
    assert console.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "waiting: sessions/x waits for its generator",
        "waiting: another time",
    ]


def test_rig_and_server_are_told_apart():
    now = [0.0]
    pace = Pace(lambda: now[0])
    assert str(pace) == "-"
    pace.asked(0)
    now[0] = 2.0
    pace.told()
    now[0] = 2.5
    pace.asked(50)
    assert (pace.rig, pace.server) == (2.0, 0.5)
    assert str(pace) == "the rig 2.0 s, the next generation 500 ms"
    assert pace.left(session_pb2.SessionProgress(evaluations=50, total_evaluations=250)) == "about 0:10"
    assert pace.left(session_pb2.SessionProgress(evaluations=250, total_evaluations=250)) == ""


def test_sparks():
    assert sparks([1]) == ""
    assert sparks([2, 2, 2]) == "▄▄▄"
    assert sparks(range(100), 8) == "▁▂▃▄▅▆▇█"
