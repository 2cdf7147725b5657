"""What was found about a layer as a table, arrays and a figure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....charts.words import count
from ...results.section import Figure, Section, Value
from .figure import superposition_sheet
from .geometry import expected_cosine, feature_dimensionality
from .measures import LayerFound, Measures

_NOTES = (
    "Units of a map, of a series or of tokens count with their mean over places, steps or tokens. A mean |cosine| at that of random "
    "directions says that nothing keeps the directions apart.",
    "Dimensionality is the share of a dimension that a direction has to itself: 1 alone, ½ as one of an opposite pair. The participation "
    "ratio is how many dimensions the activations fill.",
)


def section_of(found: LayerFound, folder: str | None) -> Section:
    """Return the section of one layer."""
    rows = [_row(found, which, made) for which, made in found.of.items()]
    shown = "pictures of the folder" if folder else "stimuli of the generator's natural latents"
    notes = [f"{found.stimuli:,} {shown}" + (f"; {count(found.missed, 'stimulus', 'stimuli')} more not answered." if found.missed else ".")]
    notes.append(
        f"Classes are the folder's {len(found.names)} subfolders."
        if found.names
        else f"There are no classes; {len(np.unique(found.labels))} clusters (k-means) of the own activations stand for them."
    )
    single = [found.names[label] for label, size in enumerate(np.bincount(found.labels)) if found.names and size == 1]
    if single:
        notes.append(f"Classes of a single picture, whose silhouette is 0: {', '.join(single[:10])}.")
    drawn = any(made.activation_cosines is not None for made in found.of.values())
    title = f"Superposition in {found.layer.name}"
    figure = Figure(title, _says(found), lambda: superposition_sheet(title, found), wide=True)
    return Section(title, (*notes, *_NOTES), rows, _arrays(found), [figure] * drawn, name=_name(found.layer.name))


def _name(layer: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in layer).strip("-") or "layer"


def _says(found: LayerFound) -> str:
    own = next(iter(found.of.values()))
    filled = f" {own.activations.shape[1]} units fill {own.participation:.1f} dimensions." if own.participation is not None else ""
    return f"Cosines, maps, selectivity and a sparse dictionary of {found.layer.name}.{filled}"


def _mean(values: NDArray[np.float64] | None) -> float | None:
    return float(np.mean(values)) if values is not None and values.size else None


def _row(found: LayerFound, which: str, made: Measures) -> dict[str, Value]:
    row: dict[str, Value] = {"layer": found.layer.name}
    if len(found.of) > 1:
        row["weights"] = which
    row |= {
        "units": made.activations.shape[1],
        "silent": made.silent,
        "participation ratio": made.participation,
        "|cosine| of activations": _mean(None if made.activation_cosines is None else np.abs(made.activation_cosines)),
        "of random ones": expected_cosine(found.stimuli - 1) if made.activation_cosines is not None else None,
    }
    if made.weights is not None:
        row |= {
            "|cosine| of weights": _mean(None if made.weight_cosines is None else np.abs(made.weight_cosines)),
            "of random weights": expected_cosine(made.weights[1].shape[1]),
            "dimensionality of weights": _mean(made.weight_dimensionality),
            "weights of": made.weights[0],
        }
    silhouette, davies_bouldin = made.separation or (None, None)
    row |= {
        "silhouette": silhouette,
        "Davies–Bouldin": davies_bouldin,
        "class selectivity": _mean(made.selectivity),
        "d′": _mean(made.distance),
        "lifetime sparseness": _mean(made.sparseness),
    }
    if made.dictionary is not None:
        row |= {
            "atoms": len(made.dictionary.atoms),
            "dimensionality of atoms": _mean(feature_dimensionality(made.dictionary.atoms)),
            **{
                f"variance by {number}": float(share)
                for number, share in zip(made.dictionary.sparsities, made.dictionary.explained, strict=True)
                if number in (1, 4, 16)
            },
        }
    if found.alignment is not None:
        row["alignment (CKA)"] = found.alignment
    limits = [*made.limits]
    if made.activation_cosines is not None and made.activations.min() < 0:
        limits.append("some responses are negative, so class selectivity and sparseness have no meaning")
    return row | ({"limit": "; ".join(limits)} if limits else {})


def _arrays(found: LayerFound) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {"labels": found.labels, "classes": np.array(found.names, dtype=np.str_)}
    for which, made in found.of.items():
        parts: dict[str, NDArray[Any] | None] = {
            "activations": made.activations.astype(np.float32),
            "weight_cosines": made.weight_cosines,
            "weight_dimensionality": made.weight_dimensionality,
            "activation_cosines": made.activation_cosines,
            "selectivity": made.selectivity,
            "distance": made.distance,
            "sparseness": made.sparseness,
            "principal": made.principal,
            "tsne": made.tsne,
        }
        if made.dictionary is not None:
            parts |= {
                "atoms": made.dictionary.atoms,
                "sparsities": np.array(made.dictionary.sparsities),
                "explained": made.dictionary.explained,
                "principal_explained": made.dictionary.principal,
            }
        arrays |= {f"{which}/{name}": values for name, values in parts.items() if values is not None}
    return arrays
