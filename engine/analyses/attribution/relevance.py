"""Relevance propagation through any network: Zennit's rules for layers with weights, a rule each for what lies between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .attention_calls import TakesAttentionApart, Unruled
from .library import zennit

Rules = Literal["epsilon-plus-flat", "epsilon-plus", "epsilon-alpha2-beta1", "attention"]
"""Zennit's composites by the rules of linear layers, of convolutions and (``flat``) of the first layer; biases get no relevance, so that
relevances add up. ``attention``: AttnLRP's rules, in which biases, the softmax and norms keep a share; without it they blow up."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PASS = _names(
    "relu relu6 hardtanh leaky_relu elu celu selu gelu silu mish hardswish hardsigmoid sigmoid tanh softplus prelu clamp clamp_min "
    "clamp_max clip group_norm instance_norm rms_norm neg"
)
"""Functions that hand relevance on as it is: elementwise ones (Zennit's ``Pass``) and norms (AttnLRP's identity rule)."""
_ROUTE = _names(
    "view reshape permute transpose t flatten unflatten ravel unbind getitem split chunk tensor_split cat concat stack expand "
    "expand_as repeat squeeze unsqueeze contiguous clone to float double type type_as movedim moveaxis swapaxes swapdims T mT roll "
    "flip pad narrow select index_select gather tile view_as reshape_as dropout dropout1d dropout2d dropout3d alpha_dropout "
    "feature_dropout max_pool1d max_pool2d max_pool3d max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices "
    "adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d adaptive_max_pool1d_with_indices adaptive_max_pool2d_with_indices "
    "adaptive_max_pool3d_with_indices max amax pixel_shuffle pixel_unshuffle channel_shuffle masked_fill where identity requires_grad "
    "detach alias unfold"
)
"""Functions that move values or choose among them; relevance goes back the same way, as a gradient does."""
_MEAN = _names("sum mean avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d interpolate upsample")
"""Functions that add up values of one input, with weights of their own; each gets its share."""
_PRODUCTS = _names("matmul bmm mul einsum multiply")
"""Products: the factors share evenly (AttnLRP's rule), a constant one gets nothing."""
_LAYERS = _names("linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d")
_MERGED = _names("linear conv1d conv2d conv3d")
"""Layers into which a batch normalisation that follows is merged, as Zennit's canonizers do."""


class Relevance(TakesAttentionApart):
    """Within the block, gradients of what is computed from tensors that require them are relevances.

    Rules are by function of torch, so that it does not matter whether a network calls it by a module: Bach et al., 2015 (LRP); Montavon et
    al., 2019 (composites); Achtibat et al., "AttnLRP", 2024 (attention, norms and products). Nothing is done in place, and nothing is
    attached to any module. Run the backward pass after the block.

    Parameters
    ----------
    rules : str
        See :data:`Rules`.

    Attributes
    ----------
    attends : bool
        Whether a softmax or a layer's norm was called inside.

    Raises
    ------
    Unruled
        The network calls a function for which there is no rule.
    """

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self.rules: Rules = rules
        self.attends = False
        self._first = True

    def call(self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function of torch, with its rule for the backward pass."""
        inputs = [tensor for tensor in tensors_of((*args, *kwargs.values())) if tensor.requires_grad]
        if not inputs or not torch.is_grad_enabled():
            return func(*args, **kwargs)
        if name in _LAYERS:
            return self._layer(name, func, args, kwargs)
        if name == "batch_norm":
            return self._batch_norm(func, args, kwargs)
        if name in ("add", "sub", "rsub", "subtract"):
            return _shared(func, args, kwargs, inputs) if len(inputs) > 1 else _sum_with_constant(func, args, kwargs, inputs[0])
        if name in _PRODUCTS:
            return _shared(func, args, kwargs, inputs, 1 / len(inputs))
        if name in _MEAN:
            return _shared(func, args, kwargs, inputs)
        if name in ("div", "divide") and inputs[0] is args[0]:
            return _passed(func, args, kwargs, inputs[:1])  # a divisor scales and is given nothing
        if name in ("softmax", "layer_norm"):
            self.attends = True
        if name == "layer_norm":
            return _layer_norm(func, args, kwargs, inputs[0])
        if name == "softmax":
            return _softmax(func, args, kwargs, inputs[0])
        if name in _PASS:
            return _passed(func, args, kwargs, inputs[:1])
        answer = func(*args, **kwargs)
        if name in _ROUTE or not any(tensor.requires_grad for tensor in tensors_of((answer,))):
            return answer
        raise Unruled(name)

    def _layer(self, name: str, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        given = dict(zip(("input", "weight", "bias"), args, strict=False)) | {
            key: kwargs[key] for key in ("input", "weight", "bias") if key in kwargs
        }
        rest, named = args[3:], {key: value for key, value in kwargs.items() if key not in given}
        if given["weight"].requires_grad:
            raise Unruled(f"{name} with weights that depend on the stimulus")
        layer = _Layer(lambda x, weight, bias: func(x, weight, bias, *rest, **named), given["weight"], given.get("bias"))
        first, self._first = self._first, False
        rule = _rule(self.rules, convolution=name != "linear", first=first)
        answer = _by_rule(rule, layer, given["input"])
        if name in _MERGED:
            answer.actmax_layer = (rule, layer, given["input"])  # type: ignore[attr-defined] - for a batch normalisation that follows
        return answer

    def _batch_norm(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        names = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
        given = {"weight": None, "bias": None, "training": False, "eps": 1e-5, **dict(zip(names, args, strict=False)), **kwargs}
        x = given["input"]
        if given["training"] or given["running_mean"] is None:
            raise Unruled("batch_norm over the statistics of a batch")
        if not hasattr(x, "actmax_layer"):
            return _passed(func, args, kwargs, [x])
        rule, layer, before = x.actmax_layer
        scale = (given["running_var"] + given["eps"]).rsqrt() * (1.0 if given["weight"] is None else given["weight"])
        shift = (0.0 if given["bias"] is None else given["bias"]) - given["running_mean"] * scale
        bias = shift if layer.bias is None else layer.bias * scale + shift
        return _by_rule(rule, _Layer(layer.run, layer.weight * scale.view(-1, *[1] * (layer.weight.dim() - 1)), bias), before)


def tensors_of(values: Iterable[Any]) -> list[Tensor]:
    """Return the tensors among values and in lists and tuples of them."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += tensors_of(value)
    return found


class _Layer(nn.Module):
    """One call of a layer with weights, as Zennit's rules take it."""

    def __init__(self, run: Callable[..., Tensor], weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.run = run
        self.weight = nn.Parameter(weight.detach(), requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the layer answers."""
        return self.run(x, self.weight, self.bias)


class _Ruled(torch.autograd.Function):
    """A value whose backward pass is a rule."""

    @staticmethod
    def forward(ctx: Any, propagate: Callable[[Tensor], Sequence[Tensor]], answer: Tensor, *inputs: Tensor) -> Tensor:
        ctx.propagate = propagate
        return answer.detach()

    @staticmethod
    def backward(ctx: Any, *relevances: Tensor) -> Any:
        return None, None, *ctx.propagate(relevances[0])


def _ruled(propagate: Callable[[Tensor], Sequence[Tensor]], answer: Tensor, inputs: Sequence[Tensor]) -> Tensor:
    found = _Ruled.apply(propagate, answer, *inputs)
    assert isinstance(found, Tensor)
    return found


def _rule(rules: Rules, *, convolution: bool, first: bool) -> Any:
    """Zennit's rule of a layer."""
    made = zennit().rules
    if first and rules == "epsilon-plus-flat":
        return made.Flat(zero_params="bias")
    if not convolution:
        return made.Epsilon(zero_params=None if rules == "attention" else "bias")
    return made.AlphaBeta(2.0, 1.0, zero_params="bias") if rules == "epsilon-alpha2-beta1" else made.ZPlus(zero_params="bias")


def _by_rule(rule: Any, layer: _Layer, x: Tensor) -> Tensor:
    """What a layer answers, with one of Zennit's rules."""
    with torch.no_grad():
        answer = layer(x)
    seen = x.detach()

    def propagate(relevance: Tensor) -> Sequence[Tensor]:
        hook = rule.copy()
        hook.forward(layer, (seen,), None)
        return hook.backward(layer, (seen,), (relevance,))

    return _ruled(propagate, answer, [x])


def _apart(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], inputs: Sequence[Tensor], copies: Sequence[Tensor]) -> Any:
    """The function of ``copies`` in the place of ``inputs``; in place or not, the inputs stay as they are."""
    named = {id(one): copy for one, copy in zip(inputs, copies, strict=True)}

    def swapped(value: Any) -> Any:
        if isinstance(value, Tensor):
            return named.get(id(value), value)
        return type(value)(map(swapped, value)) if type(value) in (list, tuple) else value

    return func(*map(swapped, args), **{key: swapped(value) for key, value in kwargs.items()})


def _answer(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], inputs: Sequence[Tensor]) -> Tensor:
    with torch.no_grad():
        return _apart(func, args, kwargs, inputs, [tensor.detach().clone() for tensor in inputs])


def _passed(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], inputs: Sequence[Tensor]) -> Tensor:
    """The rule that hands relevance on as it is."""
    return _ruled(lambda relevance: [relevance], _answer(func, args, kwargs, inputs), inputs)


def _sum_with_constant(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], x: Tensor) -> Tensor:
    """The rule of a sum with something that does not depend on the stimulus: all relevance is the other's."""
    shape = x.shape
    return _ruled(lambda relevance: [relevance.sum_to_size(shape)], _answer(func, args, kwargs, [x]), [x])


def _shared(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], inputs: Sequence[Tensor], part: float = 1.0) -> Tensor:
    """The rule that shares relevance by what each value contributes to a function that is linear in each input (Zennit's ``Norm``)."""
    inputs = list({id(one): one for one in inputs}.values())
    seen = [tensor.detach().clone() for tensor in inputs]
    answer = _answer(func, args, kwargs, inputs)
    stabilize = zennit().core.stabilize

    def propagate(relevance: Tensor) -> Sequence[Tensor]:
        with torch.enable_grad():
            leaves = [tensor.clone().requires_grad_() for tensor in seen]
            again = _apart(func, args, kwargs, inputs, [leaf.clone() for leaf in leaves])
            slopes = torch.autograd.grad(again, leaves, relevance / stabilize(again.detach()))
        return [part * value * slope for value, slope in zip(seen, slopes, strict=True)]

    return _ruled(propagate, answer, inputs)


def _softmax(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], x: Tensor) -> Tensor:
    """AttnLRP's rule of a softmax: its first-order Taylor expansion."""
    answer, seen = _answer(func, args, kwargs, [x]), x.detach()
    dim = kwargs.get("dim", args[1] if len(args) > 1 else -1)

    def propagate(relevance: Tensor) -> Sequence[Tensor]:
        return [seen.nan_to_num(neginf=0.0) * (relevance - answer * relevance.sum(dim, keepdim=True))]

    return _ruled(propagate, answer, [x])


def _layer_norm(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], x: Tensor) -> Tensor:
    """AttnLRP's rule of a layer's norm: what it divides by is taken as constant, and each value gets its share of the rest."""
    answer, seen = _answer(func, args, kwargs, [x]), x.detach()
    given = {"weight": None, "eps": 1e-5, **dict(zip(("input", "normalized_shape", "weight", "bias", "eps"), args, strict=False)), **kwargs}
    over = tuple(range(-len(given["normalized_shape"]), 0))
    size = (seen.var(over, correction=0, keepdim=True) + given["eps"]).rsqrt()
    size = size if given["weight"] is None else size * given["weight"]
    stabilize = zennit().core.stabilize

    def propagate(relevance: Tensor) -> Sequence[Tensor]:
        slope = size * relevance / stabilize(answer)
        return [seen * (slope - slope.mean(over, keepdim=True))]

    return _ruled(propagate, answer, [x])
