"""Plain Python functions, or an estimator of scikit-learn, as a target without gradients."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from ..spaces import StimulusSpec
from .layers import name_of, require_layers
from .target import LayerInfo

_METHODS = ("decision_function", "predict_proba", "predict", "transform")
"""Methods of an estimator that become layers, in this order."""


class FunctionTarget:
    """Functions of stimuli, each a layer.

    Parameters
    ----------
    functions : mapping of str to callable
        Functions by layer; each takes (n, *stimulus) floats and returns (n,) or (n, …) numbers, a row for each stimulus. NaN means that
        there is no response to the stimulus.
    stimulus : StimulusSpec
        The stimuli that the functions take.
    prepare : callable, optional
        Applied to the stimuli, a tensor, first.
    unit_names : sequence of str
        Names of units, for every layer with as many units.
    takes : {"numpy", "torch"}
        Whether the functions take float32 arrays or tensors (on the CPU).

    Raises
    ------
    ValueError
        A function refuses stimuli of that shape, or doesn't return numbers with a row for each.
    """

    differentiable = False

    def __init__(
        self,
        functions: Mapping[str, Callable[[Any], Any]],
        stimulus: StimulusSpec,
        *,
        prepare: Callable[[Tensor], Tensor] | None = None,
        unit_names: Sequence[str] = (),
        takes: Literal["numpy", "torch"] = "numpy",
    ) -> None:
        self.stimulus = stimulus
        self._functions = dict(functions)
        self._prepare = prepare
        self._unit_names = list(unit_names)
        self._takes = takes
        probe = torch.full((2, *stimulus.shape), (stimulus.low + stimulus.high) / 2)
        self._layers: dict[str, LayerInfo] = {}
        for name in self._functions:
            try:
                answer = self._asked(name, probe)
            except Exception as error:  # a user's function may raise any class
                raise ValueError(f"{name}: it does not answer stimuli of {stimulus}: {type(error).__name__}: {error}") from error
            self._layers[name] = LayerInfo(name, tuple(answer.shape[1:]), "function")

    @classmethod
    def of_estimator(
        cls, estimator: Any, stimulus: StimulusSpec, *, prepare: Callable[[Tensor], Tensor] | None = None, unit_names: Sequence[str] = ()
    ) -> Self:
        """Return the target of a fitted estimator.

        Its layers are those of ``decision_function``, ``predict_proba``, ``predict`` (of a regressor) and ``transform`` that it has. The
        estimator takes stimuli flat, (n, size); units are named after its classes by default.

        Parameters
        ----------
        estimator : object
            A fitted estimator of scikit-learn.
        stimulus, prepare, unit_names
            See :class:`FunctionTarget`.
        """
        classes = getattr(estimator, "classes_", None)
        methods = [name for name in _METHODS if hasattr(estimator, name) and not (name == "predict" and classes is not None)]
        functions = {name: _flat(getattr(estimator, name)) for name in methods}
        names = list(unit_names) or ([] if classes is None else [str(name) for name in np.ravel(classes)])
        return cls(functions, stimulus, prepare=prepare, unit_names=names)

    def to(self, device: str) -> Self:
        """Return the target: functions run on the CPU, and nothing has to be moved."""
        return self

    def layers(self) -> Sequence[LayerInfo]:
        """Return one layer for each function."""
        return list(self._layers.values())

    def unit_name(self, layer: str, index: tuple[int, ...]) -> str:
        """Return the name of a unit; empty where it has none."""
        return name_of(index, self._unit_names, self._layers.get(layer))

    def respond(self, stimuli: Tensor, layers: Collection[str], /) -> Mapping[str, Tensor]:
        """Return the responses to stimuli, without a gradient: (n, *stimulus) -> {layer: (n, *layer)}.

        Raises
        ------
        KeyError
            A layer does not exist; the message suggests near names.
        ValueError
            A function returned another shape than in its first call.
        """
        require_layers(layers, self._layers)
        found: dict[str, Tensor] = {}
        for layer in layers:
            shape = (stimuli.shape[0], *self._layers[layer].shape)
            answer = self._asked(layer, stimuli) if stimuli.shape[0] else torch.empty(shape)
            if answer.shape != shape:
                raise ValueError(f"{layer} answered in the shape {tuple(answer.shape)} instead of {shape}")
            found[layer] = answer.to(stimuli.device)
        return found

    def _asked(self, name: str, stimuli: Tensor) -> Tensor:
        # a copy: a function may write into its input
        given = stimuli.detach().to("cpu", torch.float32, copy=True)
        if self._prepare is not None:
            given = self._prepare(given)
        answer = self._functions[name](given if self._takes == "torch" else given.numpy())
        values = answer.detach().cpu() if isinstance(answer, Tensor) else torch.as_tensor(np.asarray(answer, dtype=np.float64))
        if values.ndim == 0 or values.shape[0] != stimuli.shape[0]:
            raise ValueError(f"it gave numbers of shape {tuple(values.shape)}, not a row for each of {stimuli.shape[0]} stimuli")
        return (values[:, None] if values.ndim == 1 else values).float()


def is_estimator(found: Any) -> bool:
    """Return whether an object has the methods of scikit-learn's estimators."""
    return hasattr(found, "fit") and any(callable(getattr(found, name, None)) for name in _METHODS)


def _flat(method: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda stimuli: method(stimuli.reshape(len(stimuli), -1))
