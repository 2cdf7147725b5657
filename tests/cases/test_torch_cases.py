"""Networks as users bring them: each works and is left as it was, or is refused with what would work."""

import dataclasses
import random
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import torch
from network_digest import left_as_it_was
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from actmax.engine.evaluation.evaluator import EvaluationSetup, Evaluator, Pass
from actmax.models.generators.decoder import DecoderGenerator
from actmax.models.objectives.unit import UnitObjective
from actmax.models.spaces import Box, StimulusSpec
from actmax.models.targets.module import ModuleTarget
from actmax.models.units import resolve

IMAGE = StimulusSpec((3, 8, 8))


class Of(nn.Module):
    """A network whose forward is a function of it and the stimuli."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def __init__(self, forward, **parts):
        super().__init__()
        self._forward_of = (forward,)
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self._forward_of[0](self, x)


def seeded(make, *arguments, **named) -> Any:
    torch.manual_seed(0)
    return make(*arguments, **named)


def linear(outputs=4, inputs=192):
    return seeded(nn.Linear, inputs, outputs)


def convolutional():
    return seeded(lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4)))


def shown(rows=5):
    return torch.rand(rows, 3, 8, 8, generator=torch.Generator().manual_seed(2))


def layers_of(target):
    return {info.name: info.shape for info in target.layers()}


def check_rows(target, tolerance=1e-4):
    """Every layer answers each stimulus as it answers it alone and in other company, with the listed shape."""
    stimuli, names = shown(), list(layers_of(target))
    with torch.no_grad():
        together = target.respond(stimuli, names)
        turned = target.respond(stimuli.flip(0), names)
        for name, shape in layers_of(target).items():
            assert together[name].shape == (5, *shape), name
            alone = torch.cat([target.respond(stimuli[at : at + 1], {name})[name] for at in range(5)])
            assert torch.allclose(together[name], alone, atol=tolerance), name
            assert torch.allclose(together[name], turned[name].flip(0), atol=tolerance), name


def check(network, expected=None, layer="output", tolerance=1e-5):
    """It is a target whose ``layer`` answers what ``expected`` says, with rows that are right, and the network is left as it was."""
    with left_as_it_was(network):
        target = ModuleTarget(network, IMAGE)
        check_rows(target)
        leaf = shown().requires_grad_()
        if target.differentiable:
            torch.autograd.grad(target.respond(leaf, {layer})[layer].sum(), leaf)
    if expected is not None:
        with torch.no_grad():
            assert torch.allclose(target.respond(shown(), {layer})[layer], expected(shown()), atol=tolerance)
    return target


def refused(network, *words):
    with left_as_it_was(network), pytest.raises(ValueError, match=r"\w") as caught:
        ModuleTarget(network, IMAGE)
    for word in words:
        assert word in str(caught.value), str(caught.value)


# rows


class Pair(NamedTuple):
    logits: torch.Tensor
    features: torch.Tensor


@dataclasses.dataclass
class Answer:
    loss: torch.Tensor
    nested: dict
    pair: tuple


def test_a_dataclass_with_a_dictionary_and_a_tuple_inside():
    network = Of(lambda net, x: Answer(x.sum(), {0: {"a": net.fc(x.flatten(1))}}, (x.mean((1, 2, 3)), x.sum(0))), fc=linear())
    target = check(network, lambda x: network.fc(x.flatten(1)))
    assert layers_of(target) == {"fc": (4,), "output": (4,), "output:nested.0.a": (4,), "output:pair.0": (1,)}


def test_a_named_tuple_inside_a_list():
    network = Of(lambda net, x: [Pair(net.fc(x.flatten(1)), x.mean((2, 3)))], fc=linear())
    assert layers_of(check(network)) == {"fc": (4,), "output": (4,), "output:0.0": (4,), "output:0.1": (3,)}


def test_one_number_a_row_is_one_unit():
    network = Of(lambda net, x: net.fc(x.flatten(1)).squeeze(1), fc=linear(1))
    target = check(network, lambda x: network.fc(x.flatten(1)))
    assert layers_of(target)["output"] == (1,)
    for text in ("output", "output[0]", "output[*]"):
        assert len(resolve(text, target.layers())) == 1


def test_a_squeeze_that_takes_a_single_stimulus_for_none():
    network = Of(lambda net, x: net.fc(x.flatten(1)).squeeze(), fc=linear(1))
    check(network, lambda x: network.fc(x.flatten(1)))


def test_a_transformer_whose_tokens_come_first():
    def forward(net, x):
        tokens = net.embed(x).flatten(2).permute(2, 0, 1)
        return net.head(net.blocks(tokens).mean(0))

    blocks = seeded(lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0), 2, enable_nested_tensor=False))
    network = Of(forward, embed=seeded(nn.Conv2d, 3, 8, 4, 4), blocks=blocks, head=linear(3, 8)).eval()
    target = check(network, lambda x: network(x))
    assert layers_of(target)["blocks.layers.0"] == (4, 8)
    assert layers_of(target)["blocks.layers.0.self_attn.heads"] == (2, 4, 4)
    tokens = target.respond(shown(), {"blocks.layers.1"})["blocks.layers.1"]
    with torch.no_grad():
        plain = network.blocks(network.embed(shown()).flatten(2).permute(2, 0, 1))
    assert torch.allclose(tokens, plain.transpose(0, 1), atol=1e-5)


def test_the_last_state_of_an_lstm_has_its_rows_in_the_middle():
    network = Of(
        lambda net, x: net.lstm(x.flatten(2).transpose(1, 2))[1][0][-1], lstm=seeded(nn.LSTM, 3, 5, num_layers=2, batch_first=True)
    )
    target = check(network, lambda x: network(x))
    assert layers_of(target)["lstm:1.0"] == (2, 5)


def test_windows_and_similarities_have_no_rows():
    def forward(net, x):
        windows = net.windows(x.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).flatten(0, 2).flatten(1))
        pooled = windows.unflatten(0, (-1, 4)).mean(1)
        net.similar(pooled @ pooled.T)
        return pooled

    network = Of(forward, windows=linear(3, 48), similar=nn.Tanh())
    assert list(layers_of(check(network))) == ["output"]


# rows that mix, networks that remember, randomness


def test_batch_norm_without_statistics_is_shown_one_by_one():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten(), nn.Linear(144, 2))
    target = check(network, lambda x: torch.cat([network.eval()(row[None]) for row in x]), tolerance=1e-4)
    assert any("alone" in notice for notice in target.notices)
    calls: list[int] = []
    network[0].register_forward_hook(lambda _part, inputs, _answer: calls.append(len(inputs[0])))
    target.respond(shown(), {"0"})  # it lies before the mixing
    assert calls == [5]


@pytest.mark.parametrize(
    "mix",
    [
        lambda x: x - x.mean(0),
        lambda x: F.normalize(x, dim=0),
        lambda x: (x @ x.T / 3).softmax(-1) @ x,
        lambda x: x / x.amax(),
        lambda x: x.cumsum(0),
        lambda x: x.sort(0).values,
    ],
)
def test_rows_that_mix_in_other_ways(mix):
    network = Of(lambda net, x: mix(net.fc(x.flatten(1))), fc=linear())
    assert check(network).notices


def test_rounding_is_no_mixing():
    network = seeded(
        lambda: nn.Sequential(*(part for _ in range(12) for part in (nn.Conv2d(3, 3, 3, padding=1), nn.InstanceNorm2d(3), nn.GELU())))
    )
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        assert ModuleTarget(network.to(dtype), IMAGE).notices == []


class Remembers(nn.Module):
    """A hidden state that goes from call to call, in one of several ways."""

    def __init__(self, way):
        super().__init__()
        self.fc, self.way = linear(), way
        self.hidden: Any = None
        self.register_buffer("sum", torch.zeros(4))
        self.states: dict[str, torch.Tensor] = {}

    def forward(self, x):
        y = self.fc(x.flatten(1))
        if self.way == "attribute":
            y = y if self.hidden is None else y + self.hidden
            self.hidden = y.detach().mean(0)
        elif self.way == "buffer":
            self.sum += y.detach().mean(0)
            y = y + self.sum
        else:
            y = y + self.states.get("last", torch.zeros(4))
            self.states["last"] = y.detach().mean(0)
        return y


@pytest.mark.parametrize("way", ["attribute", "buffer", "dictionary"])
def test_a_network_that_remembers_is_put_back_before_each_call(way):
    target = check(Remembers(way)) if way != "buffer" else None
    network = Remembers(way)
    with left_as_it_was(network):
        target = ModuleTarget(network, IMAGE)
        first = target.respond(shown(), {"output"})["output"]
        target.respond(shown().flip(0), {"output"})
        assert torch.equal(target.respond(shown(), {"output"})["output"], first)
    assert any("before" in notice for notice in target.notices)


@pytest.mark.parametrize("draw", [lambda x: F.dropout(x, 0.5, True), lambda x: x + torch.randn_like(x), lambda x: x * random.random()])
def test_randomness_inside_makes_a_target_noisy_and_follows_from_the_seed(draw):
    network = Of(lambda net, x: draw(net.fc(x.flatten(1))), fc=linear(64))
    with left_as_it_was(network):
        target = ModuleTarget(network, IMAGE)
        assert target.noisy
        target.begin(7, 0)
        first, second = (target.respond(shown(), {"output"})["output"] for _ in range(2))
        target.begin(7, 0)
        again = target.respond(shown(), {"output"})["output"]
        target.begin(8, 0)
        other = target.respond(shown(), {"output"})["output"]
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)
    assert target.notices


def test_always_on_dropout_over_rows_that_mix():
    network = Of(lambda net, x: F.dropout(net.norm(x), 0.5, True).mean((2, 3)), norm=nn.BatchNorm2d(3, track_running_stats=False))
    target = ModuleTarget(network, IMAGE)
    assert target.noisy
    assert any("alone" in notice for notice in target.notices)


# inputs, modules, precision


def test_stimuli_written_into_keep_their_values_and_gradients():
    network = Of(lambda net, x: net.fc(x.sub_(0.5).mul_(4.0).flatten(1)), fc=linear())
    leaf = shown().requires_grad_()
    kept = leaf.detach().clone()
    target = ModuleTarget(network, IMAGE)
    (slope,) = torch.autograd.grad(target.respond(leaf, {"output"})["output"][:, 1].sum(), leaf)
    assert torch.equal(leaf, kept)
    assert torch.allclose(slope[3].flatten(), 4 * network.fc.weight[1])


def test_a_table_cached_in_forward_can_be_trained_with():
    def forward(net, x):
        if net.table is None:
            net.table = torch.linspace(0, 1, 192)
        return net.fc(x.flatten(1) * net.scale * net.table)

    network = Of(forward, fc=linear(), table=None, scale=nn.Parameter(torch.ones(192)))
    with torch.inference_mode():
        ModuleTarget(network, IMAGE).respond(shown(), {"output"})
    network(shown()).sum().backward()


def test_compiled_networks_and_parallel_wrappers_are_read_part_by_part():
    network = convolutional()
    for wrapped in (torch.compile(network), nn.DataParallel(network), torch.compile(nn.DataParallel(network))):
        assert layers_of(check(wrapped, network))["0"] == (8, 6, 6)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [torch.jit.script, lambda net: torch.jit.trace(net, shown(2))])
def test_scripted_and_traced_networks(make):
    network = convolutional()
    check(make(network), network)
    stateful = make(nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Dropout()).train()) if make is torch.jit.script else None
    if stateful is not None:
        before = stateful.state_dict()["1.running_mean"].clone()
        check(stateful)
        assert torch.equal(stateful.state_dict()["1.running_mean"], before)
        assert stateful.training


@pytest.mark.parametrize("batch", ["dynamic", 1, 4])
def test_exported_programs(batch):
    network = convolutional()
    if batch == "dynamic":
        exported = torch.export.export(network, (shown(4),), dynamic_shapes=({0: torch.export.Dim("n")},)).module()
    else:
        exported = torch.export.export(network, (shown(batch),)).module()
    check(exported, network)


@pytest.mark.filterwarnings("ignore")
def test_quantised_networks_give_no_gradient():
    network = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Flatten(), nn.Linear(192, 4)), {nn.Linear})
    target = ModuleTarget(network, IMAGE)
    assert target.graph_end("1") == "1"
    # its scale is that of the batch, so rows mix
    assert torch.equal(target.respond(shown(), {"1"})["1"], torch.cat([network(row[None]) for row in shown()]))


def test_networks_that_have_no_values_yet_are_refused():
    with torch.device("meta"):
        nothing = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    with pytest.raises(ValueError, match=r"meta device.*load"):
        ModuleTarget(nothing, IMAGE)
    with pytest.raises(ValueError, match=r"lazy.*call the network once"):
        ModuleTarget(nn.Sequential(nn.Flatten(), nn.LazyLinear(2)), IMAGE)


def test_a_network_that_takes_one_stimulus_only():
    def forward(net, x):
        assert len(x) == 1
        return net.fc(x.flatten(1))

    network = Of(forward, fc=linear())
    target = check(network, lambda x: network.fc(x.flatten(1)))
    assert any("one stimulus at a time" in notice for notice in target.notices)


@pytest.mark.parametrize("answer", [lambda x: None, lambda x: "cat", lambda x: x.sum(), lambda x: {"label": 3}, lambda x: x.argmax(1)])
def test_an_answer_without_rows_is_refused_with_what_it_is(answer):
    refused(Of(lambda net, x: answer(x)), "no float tensor that has a row", "wrap it")


def test_a_forward_that_needs_more_is_refused_with_its_names():
    class Conditional(nn.Module):
        def forward(self, x, mask, *, scale, mode="a"):
            return x * mask * scale

    refused(Conditional(), "mask", "scale", "wrap it")


def test_stimuli_of_another_layout_are_recognised():
    network = convolutional()
    with pytest.raises(ValueError, match=r"expects \(3, 8, 8\); got \(8, 8, 3\): channels come first"):
        ModuleTarget(network, StimulusSpec((8, 8, 3)))
    with pytest.raises(ValueError, match=r"expects 3 channels.*got \(1, 8, 8\)"):
        ModuleTarget(network, StimulusSpec((1, 8, 8)))


def test_keys_with_blanks_brackets_and_colons_have_addresses():
    keys = ["left eye", "a[0]", "b:1", "b", "[x]", " c ", "output", "heads"]
    network = Of(
        lambda net, x: sum(part(x.flatten(1)) for part in net.parts.values()), parts=nn.ModuleDict({key: linear() for key in keys})
    )
    target = check(network)
    for key in keys:
        (unit,) = resolve(f"parts.{key}[2]", target.layers())
        assert (unit.layer, unit.index) == (f"parts.{key}", (2,))
        (whole,) = resolve(f"parts.{key}", target.layers())
        assert (whole.layer, whole.index) == (f"parts.{key}", ())


def test_a_submodule_named_output_is_meant_by_its_name():
    network = Of(lambda net, x: net.last(net.output(x.flatten(1))), output=linear(5), last=linear(2, 5))
    target = check(network, lambda x: network.output(x.flatten(1)), layer="output")
    assert layers_of(target) == {"output": (5,), "last": (2,), "returned": (2,)}


def test_helpers_are_no_layers_and_hook_points_are():
    network = nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(3, 4, 3), nn.Identity(), nn.Dropout(), nn.ReLU(inplace=True), nn.Flatten())
    assert list(layers_of(check(network))) == ["1", "4", "5", "output"]
    hooked = Of(lambda net, x: net.point(x.flatten(1) * 2), point=nn.Identity())
    assert list(layers_of(check(hooked))) == ["point", "output"]

    class Doubled(nn.Dropout):
        def forward(self, input):
            return 2 * input

    assert list(layers_of(check(nn.Sequential(nn.Flatten(), Doubled())))) == ["0", "1", "output"]


def test_near_names_come_in_order_of_nearness():
    network = Of(lambda net, x: net.head(net.body(x)), body=convolutional()[:3], head=linear(2, 288))
    target = ModuleTarget(network, IMAGE)
    with pytest.raises(KeyError, match="did you mean head"):
        target.respond(shown(), {"classifier.head"})
    with pytest.raises(KeyError, match=r"did you mean body\.1 or"):
        target.respond(shown(), {"body_1"})


def test_tied_weights_and_modules_that_are_called_twice():
    first, second = linear(192), linear(192)
    second.weight = first.weight
    network = Of(lambda net, x: net.act(net.b(net.act(net.a(x.flatten(1))))), a=first, b=second, act=nn.Tanh())
    check(network, lambda x: network(x))


def test_hooks_of_the_users_run_and_stay():
    network, seen = convolutional(), []
    network[0].register_forward_hook(lambda _part, _inputs, answer: 2 * answer)
    network[1].register_forward_pre_hook(lambda *_: seen.append(1))
    check(network, lambda x: network(x))
    assert seen


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_half_and_double_precision(dtype):
    network = convolutional().to(dtype)
    with left_as_it_was(network):
        target = ModuleTarget(network, IMAGE)
        found = target.respond(shown(), {"output"})["output"]
    assert torch.allclose(found, network(shown().to(dtype)).to(found.dtype), atol=2e-2)


def test_a_network_that_differentiates_by_its_own_parameters():
    def forward(net, x):
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(net.fc(x.flatten(1)).square().sum(), net.fc.bias, create_graph=True)
        return net.fc(x.flatten(1)) + slope.detach().sum() * 0

    network = Of(forward, fc=linear())
    check(network, lambda x: network.fc(x.flatten(1)))


class Adapted(nn.Module):
    """A linear layer with a low-rank change, merged into its weights in evaluation mode as loralib does it."""

    def __init__(self, base):
        super().__init__()
        self.base, self.merged = base.requires_grad_(False), False
        self.down, self.up = nn.ParameterDict({"default": torch.ones(2, 288)}), nn.ParameterDict({"default": torch.ones(4, 2) / 100})

    def train(self, mode=True):
        super().train(mode)
        if mode == self.merged:
            self.base.weight.data += (-1 if mode else 1) * self.up["default"] @ self.down["default"]
            self.merged = not mode
        return self

    def forward(self, x):
        change = 0 if self.merged else F.linear(F.linear(x, self.down["default"]), self.up["default"])
        return self.base(x) + change


def test_low_rank_adapters():
    network = nn.Sequential(*convolutional()[:3], Adapted(linear(4, 288)))
    target = check(network, network)
    assert [parameter.requires_grad for parameter in network[3].parameters()] == [False, False, True, True]
    assert layers_of(target)["3.base"] == (4,)


# gradients


class Wall(torch.autograd.Function):
    """Has no backward pass."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()


def no_grad_trunk(net, x):
    with torch.no_grad():
        y = net.a(x.flatten(1))
    return net.b(y)


GRAPHS = {
    "whole": (lambda net, x: net.b(net.a(x.flatten(1))), None),
    "no_grad": (no_grad_trunk, "a"),
    "detach": (lambda net, x: net.b(net.a(x.flatten(1)).detach()), ""),
    "argmax": (lambda net, x: net.b(F.one_hot(net.a(x.flatten(1)).argmax(1), 6).float()), ""),
    "numpy": (lambda net, x: net.b(torch.from_numpy(net.a(x.flatten(1)).detach().numpy())), ""),
    "numpy at once": (lambda net, x: net.b(torch.from_numpy(net.a(x.flatten(1)).numpy())), ""),
    "no backward": (lambda net, x: net.b(net.wall(net.a(x.flatten(1)))), "wall"),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_where_the_graph_ends(name):
    forward, end = GRAPHS[name]
    network = Of(forward, a=linear(6), b=linear(2, 6), wall=Of(lambda _, x: Wall.apply(x)))
    with left_as_it_was(network):
        target = ModuleTarget(network, IMAGE)
        assert target.graph_end("b") == end
        assert target.graph_end("output") == end
        assert name in ("no_grad", "numpy at once") or target.graph_end("a") is None


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_batch_norm_over_a_whole_pass(reentrant):
    body = seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2)))
    network = Of(lambda net, x: checkpoint(net.body, x, use_reentrant=reentrant), body=body).train()
    decoder = seeded(lambda: nn.Sequential(nn.Linear(8, 192), nn.BatchNorm1d(192), nn.Sigmoid(), nn.Unflatten(1, (3, 8, 8)))).train()
    with left_as_it_was(network, decoder):
        target, generator = ModuleTarget(network, IMAGE), DecoderGenerator(decoder, Box((8,), -3.0, 3.0))
        evaluator = Evaluator(EvaluationSetup(generator, target), [UnitObjective(resolve("output[0]", target.layers())[0])])
        latents = torch.rand(4, 8, generator=torch.Generator().manual_seed(1))
        outcome = evaluator(Pass((0,), (latents,), (0.0,), 0, graded=True))
    leaf = latents.clone().requires_grad_()
    score = body.eval()(decoder.eval()(leaf))[:, 0].sum()
    (slope,) = torch.autograd.grad(score, leaf)
    assert torch.allclose(outcome.gradients[0], slope, atol=1e-5)
