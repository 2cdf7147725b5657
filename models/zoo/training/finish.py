"""The shipped files of a trained model: weights, card, sample sheet."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from ...targets.target import Target
from ..card import Card, Responses
from .task import Labelled, Task, Trained

LEVELS = [0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0]


def measure(target: Target, layer: str, stimuli: Labelled, batch: int = 250) -> Tensor:
    """Return the responses of every unit of ``layer`` to every stimulus: float32, (stimuli, units)."""
    rows: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(stimuli), batch):
            shown = stimuli.unit_range(slice(start, start + batch))
            rows.append(target.respond(shown, {layer})[layer].float())
    return torch.cat(rows)


def accuracy(model: Callable[[Tensor], Tensor], stimuli: Labelled, batch: int = 500) -> dict[str, float]:
    """Return the share of stimuli whose largest output is the label, as the figure ``accuracy``."""
    hits = 0
    for start in range(0, len(stimuli), batch):
        rows = slice(start, start + batch)
        hits += int((model(stimuli.unit_range(rows)).argmax(1).cpu() == stimuli.labels[rows]).sum())
    return {"accuracy": hits / len(stimuli)}


def quantiles(answers: Tensor, layer: str, readout: str, test: Labelled) -> Responses:
    """Return the card's quantiles of responses; they are observed values, not interpolated ones.

    Parameters
    ----------
    answers : Tensor
        (stimuli, units) responses.
    layer, readout : str
        The layer, and the kind of its responses.
    test : Labelled
        The stimuli.
    """
    levels = torch.tensor(LEVELS, dtype=torch.float64)
    found = torch.quantile(answers.double(), levels, dim=0, interpolation="nearest")
    return Responses(
        layer=layer,
        readout=readout,
        stimuli=f"{answers.shape[0]} {test.stimuli}",
        levels=LEVELS,
        names=list(test.classes),
        quantiles=[[round(float(value), 6) for value in unit] for unit in found.T],
    )


def sheet(images: Tensor, columns: int, path: Path, scale: int = 2) -> None:
    """Write a grid of images, row by row, as PNG.

    Parameters
    ----------
    images : Tensor
        (n, 3, h, w) in [0, 1].
    columns : int
        Images of a row.
    path : Path
        The file to write.
    scale : int
        Factor by which images are enlarged.
    """
    n, _, height, width = images.shape
    rows = -(-n // columns)
    canvas = Image.new("RGB", (columns * (width * scale + 2), rows * (height * scale + 2)), "white")
    for number, image in enumerate(images):
        array = (image.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
        picture = Image.fromarray(array).resize((width * scale, height * scale), Image.Resampling.NEAREST)
        canvas.paste(picture, ((number % columns) * (width * scale + 2), (number // columns) * (height * scale + 2)))
    canvas.save(path, optimize=True)


def most_activating(answers: Tensor, stimuli: Labelled, count: int = 10) -> Tensor:
    """Return for each unit a row of the ``count`` stimuli with the highest responses: (units * count, *stimulus)."""
    best = answers.topk(count, dim=0).indices.T.flatten()
    return stimuli.unit_range(best)


def write(
    trained: Trained,
    task: Task,
    command: str,
    tensors: dict[str, Tensor],
    summary: str,
    folder: Path,
    *,
    responses: Callable[[Path], Responses | None] = lambda _: None,
) -> Path:
    """Write weights and card below ``folder``, and return the path of the weights.

    Parameters
    ----------
    trained : Trained
        The finished run with its figures.
    task : Task
        Its data, seed and device.
    command : str
        The command that trains the model again.
    tensors : dict of str to Tensor
        The weights.
    summary : str
        The card's summary.
    folder : Path
        Created if it is missing.
    responses : callable
        Returns the card's responses; called with the path of the written weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = trained.run.name
    path = folder / f"{name}.safetensors"
    temporary = path.with_suffix(".writing")
    save_file({key: value.contiguous() for key, value in tensors.items()}, temporary)
    temporary.chmod(0o644)  # safetensors makes files readable for their owner alone
    temporary.replace(path)
    card = Card(
        name=name,
        summary=summary,
        data=f"{task.train.source}: {len(task.train)} training {_kind(task.train)}; figures over {len(task.test)} test {_kind(task.test)}",
        figures={key: round(value, 4) for key, value in trained.figures.items()},
        command=command,
        seed=task.seed,
        epochs=trained.run.epoch,
        seconds=round(trained.run.seconds),
        machine=f"{task.device}, {platform.machine()}, {torch.get_num_threads()} thread(s), torch {torch.__version__}",
        parameters=sum(value.numel() for key, value in tensors.items() if key != "bank"),
        bytes=path.stat().st_size,
        responses=responses(path),
    )
    (folder / f"{name}.json").write_text(card.model_dump_json(indent=1, exclude_none=True) + "\n")
    return path


@dataclass(frozen=True)
class ShippedTarget:
    """Description and measurement of a trained target.

    Attributes
    ----------
    summary : str
        The card's summary.
    layer, readout : str
        The layer whose units are measured, and the kind of its responses.
    load : callable
        Makes the target from weights at a path, so that the shipped weights are measured.
    draw : callable
        Draws the sample sheet, as :func:`sheet` does.
    """

    summary: str
    layer: str
    readout: str
    load: Callable[[Path], Target]
    draw: Callable[[Tensor, int, Path], None] = sheet


def write_target(shipped: ShippedTarget, trained: Trained, task: Task, command: str, folder: Path) -> None:
    """Write a target's weights, its card with every output unit's quantiles, and a sheet of each unit's most activating test stimuli."""
    answers: list[Tensor] = []

    def responses(path: Path) -> Responses:
        answers.append(measure(shipped.load(path), shipped.layer, task.test))
        return quantiles(answers[0], shipped.layer, shipped.readout, task.test)

    tensors = dict(trained.modules["model"].state_dict())
    path = write(trained, task, command, tensors, shipped.summary, folder, responses=responses)
    shipped.draw(most_activating(answers[0], task.test), 10, path.with_suffix(".png"))


def _kind(stimuli: Labelled) -> str:
    return stimuli.stimuli.rpartition(" ")[2]
