"""Every registered optimizer of actmax, by name, through ask and tell alone.

A method is written ``ours:name``, with options ``ours:protes(batch=40)``, and after that ``:blind`` for a start without natural latents,
and ``:no-gradient`` for one that gets none although the problem has them.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import actmax.engine.search.search
from actmax.engine.components.registry import components, find, options_of
from actmax.engine.resolved_job import REMEASURE
from actmax.engine.search.design import Design
from actmax.engine.search.search import Search, SearchedUnit
from actmax.engine.spec import BudgetSpec
from actmax.models.objectives.unit import UnitObjective
from actmax.models.units import UnitAddress
from actmax.optimizers.auto import Auto
from actmax.optimizers.optimizer import Evaluations, Optimizer, Problem, Unsuitable

from .problems import SearchProblem, derived_seed
from .trace import Trace

PREFIX = "ours:"
_METHOD = re.compile(r"^ours:(?P<name>[\w.-]+)(?:\((?P<options>.*)\))?(?P<flags>(?::(?:blind|no-gradient))*)$")


@dataclass(frozen=True)
class Method:
    """One of ours with what it is given."""

    name: str
    options: dict[str, Any]
    blind: bool = False
    gradient: bool = True

    @classmethod
    def parse(cls, text: str) -> Method:
        """Read ``ours:name(option=value, …):blind:no-gradient``; values are JSON, or text."""
        match = _METHOD.match(text)
        if match is None:
            raise ValueError(f"{text!r} is no method; write ours:name, ours:name(option=value):blind:no-gradient")
        options: dict[str, Any] = {}
        for part in filter(None, (match["options"] or "").split(",")):
            key, _, value = part.partition("=")
            try:
                options[key.strip()] = json.loads(value)
            except json.JSONDecodeError:
                options[key.strip()] = value.strip()
        flags = match["flags"].split(":")
        return cls(match["name"], options, "blind" in flags, "no-gradient" not in flags)


def registered(problem: SearchProblem) -> list[str]:
    """Every method of ours for a problem: each optimizer from the prior and blind, also without gradients where it may do without."""
    found: list[str] = []
    for entry in components("optimizer"):
        if entry.unavailable:
            continue
        needs: Any = find("optimizer", entry.name, "optimizer").needs_gradient
        if needs is True and not problem.differentiable:
            continue
        either = problem.differentiable and not isinstance(needs, bool)
        for start in ("", ":blind") if problem.bank is not None else ("",):
            found += [f"{PREFIX}{entry.name}{start}{gradient}" for gradient in (("", ":no-gradient") if either else ("",))]
    return found


def built(problem: SearchProblem, method: Method, seed: int, budget: int) -> Optimizer:
    """The optimizer, told what the engine would tell it.

    Raises
    ------
    Unsuitable
        It can't search this.
    InvalidJob
        There is no such optimizer, or its options are wrong.
    """
    found = find("optimizer", method.name, "optimizer")
    differentiable = problem.differentiable and method.gradient
    if found.needs_gradient is True and not differentiable:
        raise Unsuitable(f"{method.name} needs gradients, and this problem gives none")
    natural = not method.blind
    told = Problem(
        problem.latent,
        derived_seed(problem.name, problem.unit, method.name, seed),
        budget,
        bank=problem.bank if natural else None,
        density=problem.density if natural else None,
        code_vectors=problem.code_vectors,
        differentiable=differentiable,
        noisy=problem.noise is not None,
    )
    return found(told, options_of(found, method.options, "optimizer.options"))


def run_ours(text: str, trace: Trace, seed: int) -> tuple[Tensor, dict[str, Any]]:
    """Run one to the end of the budget: its recommendation and further fields of the record."""
    if trace.problem.noise is not None:
        return _run_noisy(text, trace, seed)
    optimizer = built(trace.problem, Method.parse(text), seed, trace.budget)
    while trace.left:
        step(optimizer, trace)
    return optimizer.recommend().cpu(), {}


def _run_noisy(text: str, trace: Trace, seed: int) -> tuple[Tensor, dict[str, Any]]:
    """As the engine meets noise: a share of the budget measures leaders again; what the winner then answers is ``reported``."""
    problem = trace.problem
    design = Design(remeasure=REMEASURE, noisy=True)
    optimizer = built(problem, Method.parse(text), seed, design.candidates(trace.budget))
    # the objective scores responses in a loop; here the problem does
    objective = UnitObjective(UnitAddress(problem.unit))
    search = Search(
        SearchedUnit(problem.unit), text, problem.latent, objective, optimizer, BudgetSpec(evaluations=trace.budget), design=design
    )
    while not search.stopped_by:
        search.tell(trace.scores(search.ask()))
        trace.recommend(search.recommend)
    measured = search.measured()
    return search.recommend(), {} if measured is None else {"reported": float(f"{measured.response:.5g}")}


def step(optimizer: Optimizer, trace: Trace) -> None:
    """One ask and tell, as the engine does it: what the budget cuts off is told as missed."""
    graded = optimizer.needs_gradient is True
    asked = optimizer.ask()
    shown = asked[: trace.left]
    if graded:
        scores, slopes = trace.gradients(shown)
        gradients = torch.cat([slopes, slopes.new_zeros(len(asked) - len(shown), *slopes.shape[1:])])
    else:
        scores, gradients = trace.scores(shown.cpu()), None
    told = torch.cat([scores, scores.new_full((len(asked) - len(shown),), torch.nan)])
    optimizer.tell(Evaluations(asked, told, gradients=gradients))


def takes_gradients(problem: SearchProblem, text: str) -> bool:
    """Whether a method takes gradients of the problem; raises what :func:`built` does."""
    return built(problem, Method.parse(text), 0, 1000).needs_gradient is True


def code_of(problem: SearchProblem, text: str, hears: bool = False) -> str:
    """Digest of the code that a method runs on a problem: for ``auto`` that of the search it chooses there, with its options.

    Results of another digest are stale. What an optimizer does with others' evaluations counts only where it ``hears`` some.

    Raises
    ------
    InvalidJob
        There is no such optimizer, or its options are wrong.
    """
    method, noisy = Method.parse(text), problem.noise is not None
    found = find("optimizer", method.name, "optimizer")
    if found is not Auto:
        return code_digest(found.__module__, noisy, hears)
    optimizer = built(problem, method, 0, 1000)
    assert isinstance(optimizer, Auto)
    code = code_digest(type(optimizer.search).__module__, noisy, hears)
    return hashlib.sha256(f"{code} {optimizer.search.options.model_dump_json()}".encode()).hexdigest()[:8]


@lru_cache(maxsize=64)
def code_digest(module: str, noisy: bool = False, hears: bool = False) -> str:
    """Digest of a module's source and of what that imports of the project; under noise also of the engine's search."""
    seen: dict[str, bytes] = {}
    _collect(Path(str(importlib.import_module(module).__file__)), seen, hears)
    if noisy:
        _collect(Path(str(actmax.engine.search.search.__file__)), seen, hears)
    return hashlib.sha256(b"".join(seen[path] for path in sorted(seen))).hexdigest()[:8]


def _collect(path: Path, seen: dict[str, bytes], hears: bool) -> None:
    if str(path) in seen or not path.is_file():
        return
    tree = ast.parse(path.read_bytes())
    seen[str(path)] = ast.dump(_bare(tree, hears)).encode()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = path.parents[node.level - 1]
            inner = base.joinpath(*(node.module or "").split("."))
            candidates = [inner.with_suffix(".py"), inner / "__init__.py", *(inner / f"{alias.name}.py" for alias in node.names)]
            for candidate in candidates:
                _collect(candidate, seen, hears)


def _bare(tree: ast.Module, hears: bool) -> ast.Module:
    """Without docstrings, and without ``observe`` but where it is called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and not hears:
            node.body = [part for part in node.body if not (isinstance(part, ast.FunctionDef) and part.name == "observe")]
        body: Sequence[ast.stmt] = getattr(node, "body", []) if not isinstance(node, ast.Lambda | ast.IfExp) else []
        for statement in body:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant) and isinstance(statement.value.value, str):
                statement.value.value = ""
    return tree
