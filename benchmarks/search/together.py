"""Several runs at once, one processor core: each in a process of its own, their candidates scored in common batches.

A package that asks for one candidate at a time costs almost three times as much a candidate as one that asks for twenty; here the
batches are made of what several such runs wait for. Scores are those of single runs up to the rounding of larger matrix products.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import Any

import torch
from torch import Tensor

from .problems import SearchProblem, families

KEPT = 200
"""Requests whose responses are kept."""

Perform = Callable[[Any, Callable[[SearchProblem], SearchProblem]], Any]
"""(task, what to do with its problem) -> a picklable outcome."""


def _work(pipe: Connection, perform: Perform) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)

    def elsewhere(problem: SearchProblem) -> SearchProblem:
        def clean(latents: Tensor) -> Tensor:
            pipe.send(("score", latents.numpy()))
            return torch.from_numpy(pipe.recv())

        return replace(problem, clean=clean, differentiable=False)

    while (task := pipe.recv()) is not None:
        pipe.send(("done", perform(task, elsewhere)))


def run_together(tasks: Iterable[Any], perform: Perform, workers: int, due: Callable[[], bool], note: Callable[[Any, Any], None]) -> None:
    """Run ``tasks``, which share the problem's name, ``workers`` of them at a time.

    Parameters
    ----------
    tasks : iterable
        With ``problem``, ``unit`` and ``seed``.
    perform : callable
        Runs one task in a worker; importable from there.
    workers : int
        Processes that search; this one scores for all of them.
    due : callable
        Whether another task may be started.
    note : callable
        (task, outcome), as each ends.
    """
    context = multiprocessing.get_context("spawn")
    tasks = list(tasks)
    units = list(dict.fromkeys(task.unit for task in tasks))
    queue = iter(tasks)
    running: dict[Any, Any] = {}
    processes: list[Any] = []
    known: OrderedDict[bytes, Tensor] = OrderedDict()

    def start(pipe: Any) -> None:
        task = next(queue, None) if due() else None
        pipe.send(task)
        if task is None:
            running.pop(pipe, None)
        else:
            running[pipe] = task

    for _ in range(workers):
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, perform), daemon=True)
        process.start()
        theirs.close()
        processes.append(process)
        start(ours)
    while running:
        waiting: list[tuple[Connection, Any, Tensor]] = []
        for pipe in wait(list(running)):
            assert isinstance(pipe, Connection)  # not a socket or a handle
            kind, content = pipe.recv()
            if kind == "score":
                waiting.append((pipe, running[pipe], torch.from_numpy(content)))
            else:
                note(running[pipe], content)
                start(pipe)
        _score(waiting, units, known)
    for process in processes:
        process.join()


def _score(waiting: list[tuple[Connection, Any, Tensor]], units: list[str], known: OrderedDict[bytes, Tensor]) -> None:
    """Answer all that wait.

    ``known`` keeps the responses of all ``units`` to the latest candidates: searches that look at no response show all units the same.
    """
    if not waiting:
        return
    family = families()[waiting[0][1].problem]
    if family.respond is None:
        raise ValueError(f"{waiting[0][1].problem} has no common forward pass; run its tasks one by one")
    keys = [latents.numpy().tobytes() for _, _, latents in waiting]
    new = {key: latents for key, (_, _, latents) in zip(keys, waiting, strict=True) if key not in known}
    if new:
        responses = family.respond(torch.cat(list(new.values())), units)
        known.update(zip(new, responses.split([len(part) for part in new.values()]), strict=True))
    for key, (pipe, task, _) in zip(keys, waiting, strict=True):
        pipe.send(known[key][:, units.index(task.unit)].numpy())
    while len(known) > KEPT:
        known.popitem(last=False)
