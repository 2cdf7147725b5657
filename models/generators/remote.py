"""A plugin of ``actmax.v1.GeneratorService`` as a generator without gradients."""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor

from actmax.v1 import plugin_service_pb2 as pb

from ...wire.transport import ENVELOPE_BYTES, PLUGIN_BYTES, UNSTATED_BYTES
from ..options import InvalidOption
from ..plugins.connection import PluginConnection, PluginError, rows_within
from ..plugins.keeping import kept_plugin
from ..plugins.messages import CODES, FLOATS, MOST_VALUES, BadTensor, fill, from_message, stimulus_of
from ..plugins.options import PluginOptions
from ..spaces import Box, Categorical, LatentSpace
from .prior import Prior

_WIDE = 8
"""Most bytes of a value on the wire."""
_MOST_BANK_BYTES = 512 << 20
_MOST_VECTORS = 1_000_000
"""Values of all codes' vectors: a description stays within 4 MiB as float32."""
_ROUNDING = 1e-5
"""Tolerance of a stimulus's range, as a share of it: rounding within it is clipped, more is an error."""


class RemoteGenerator:
    """Any program that decodes latents over gRPC (``actmax.v1.GeneratorService``), at an address or dialled in to the server."""

    class Options(PluginOptions):
        """Options of the generator."""

    differentiable = False

    def __init__(
        self, connection: PluginConnection, described: pb.GeneratorDescription, *, batch: int = 256, bank: Tensor | None = None
    ) -> None:
        """Build the generator from the plugin's description, and fetch its natural latents.

        Parameters
        ----------
        connection : PluginConnection
            The connection to the plugin.
        described : GeneratorDescription
            The plugin's description of itself.
        batch : int
            Most latents of one call.
        bank : Tensor, optional
            (k, *latent) natural latents, if fetched already; else the plugin is asked for them.

        Raises
        ------
        PluginError
            The description is invalid, or the bank is not in its latent space.
        """
        self._connection, self._described, self._batch = connection, described, batch
        self.version: str = described.version
        try:
            self.latent = _space(described.latent)
            self.stimulus = stimulus_of(described.stimulus)
            if described.latent.codes.HasField("vectors"):
                self.codebook = _vectors(described.latent.codes)  # else there is none, and it has no codebook
        except ValueError as error:
            raise PluginError(f"{connection.shown}: it describes {error}") from None
        self.prior = Prior(self._bank() if bank is None else bank, self.latent) if described.bank_size else None

    @classmethod
    def from_options(cls, options: PluginOptions) -> Self:
        """Connect, wait until the plugin is healthy, and read its description; a session reuses the one that it has.

        Raises
        ------
        InvalidOption
            No plugin answers, or it is no generator.
        """
        kept = kept_plugin()
        try:
            connection = PluginConnection(options, "GeneratorService", brief=kept is not None)
            if kept is None:
                return cls(connection, connection.describe(pb.GeneratorDescription), batch=options.batch)
            kept.connected(connection)
            if kept.described:
                return cls(connection, pb.GeneratorDescription.FromString(kept.described), batch=options.batch, bank=kept.bank)
            described = connection.describe(pb.GeneratorDescription)
            made = cls(connection, described, batch=options.batch)
            kept.described, kept.bank = described.SerializeToString(deterministic=True), None if made.prior is None else made.prior.bank
            return made
        except PluginError as error:
            raise InvalidOption("address" if options.address else "plugin", str(error)) from error

    def to(self, device: str, /) -> Self:
        """Return the generator: it runs in another process, and nothing has to be moved."""
        return self

    def __call__(self, latents: Tensor, /) -> Tensor:
        """Return the stimuli of latents, without a gradient: (n, *latent) -> (n, *stimulus).

        Raises
        ------
        PluginError
            The plugin did not answer, or its answer holds no stimuli within their range.
        """
        latents = self.latent.harden(latents) if isinstance(self.latent, Categorical) else latents
        row = max(_WIDE * math.prod(self.latent.shape), _WIDE * math.prod(self.stimulus.shape))
        made = [torch.zeros(0, *self.stimulus.shape)]
        start = 0
        for rows in self._parts(latents.shape[0], row):
            made.append(self._ask(latents[start : start + rows]))
            start += rows
        return torch.cat(made).to(latents.device)

    def _parts(self, count: int, row_bytes: int) -> list[int]:
        try:
            return rows_within(count, self._batch, self._described.max_batch, self._described.max_message_bytes, row_bytes)
        except ValueError as error:
            raise PluginError(f"{self._connection.shown}: latents and stimuli are too large: {error}") from None

    def _ask(self, latents: Tensor) -> Tensor:
        request = pb.GenerateRequest()
        fill(request.latents, latents)
        answer = self._connection.ask("Generate", request, pb.GenerateResponse, self.version)
        try:
            stimuli = from_message(answer.stimuli, (latents.shape[0], *self.stimulus.shape))
        except BadTensor as error:
            raise PluginError(f"{self._connection.shown}: stimuli {error}") from None
        low, high = self.stimulus.low, self.stimulus.high
        room = _ROUNDING * (high - low)
        if not bool(((stimuli >= low - room) & (stimuli <= high + room)).all()):
            raise PluginError(f"{self._connection.shown}: stimuli leave their range, {low:g} to {high:g}, or are NaN")
        return stimuli.clamp(low, high)

    def _bank(self) -> Tensor:
        size, values = self._described.bank_size, math.prod(self.latent.shape)
        shown = self._connection.shown
        if size * values * _WIDE > _MOST_BANK_BYTES:
            raise PluginError(f"{shown}: a bank of {size} latents of {values} values; {_MOST_BANK_BYTES >> 20} MiB of them work")
        most = min(self._described.max_message_bytes or UNSTATED_BYTES, PLUGIN_BYTES)
        chunk = max(1, (most - ENVELOPE_BYTES) // (_WIDE * values))
        parts: list[Tensor] = []
        start = 0
        while start < size:
            request = pb.GetBankRequest(offset=start, count=min(chunk, size - start))
            answer = self._connection.ask("GetBank", request, pb.GetBankResponse, self.version)
            rows = answer.latents.shape[0] if answer.latents.shape else 0
            if not 1 <= rows <= request.count:
                raise PluginError(f"{shown}: asked for up to {request.count} latents of its bank, it gave {rows}")
            try:
                kinds = FLOATS if isinstance(self.latent, Box) else CODES
                parts.append(from_message(answer.latents, (rows, *self.latent.shape), kinds))
                self.latent.check(parts[-1])
            except (BadTensor, ValueError) as error:
                raise PluginError(f"{shown}: its bank: {error}") from None
            start += rows
        return torch.cat(parts)


def _space(message: pb.LatentSpace) -> LatentSpace:
    shape = tuple(message.shape)
    if math.prod(shape) > MOST_VALUES:
        raise ValueError(f"latents of {math.prod(shape)} values; at most {MOST_VALUES} work")
    if message.HasField("codes"):
        return Categorical(shape, message.codes.cardinality)
    if not message.box.low < message.box.high:
        raise ValueError(f"latents between {message.box.low:g} and {message.box.high:g}: low has to be below high")
    return Box(shape, message.box.low, message.box.high)


def _vectors(codes: pb.LatentCodes) -> Tensor:
    shape = tuple(codes.vectors.shape)
    if len(shape) != 2 or shape[0] != codes.cardinality or not shape[1]:
        raise ValueError(f"vectors of shape {shape} for {codes.cardinality} codes; it has to be ({codes.cardinality}, width)")
    if math.prod(shape) > _MOST_VECTORS:
        raise ValueError(f"vectors of {math.prod(shape)} values; at most {_MOST_VECTORS} work")
    try:
        vectors = from_message(codes.vectors, shape)
    except BadTensor as error:
        raise ValueError(f"vectors that {error}") from None
    if not bool(vectors.isfinite().all()):
        raise ValueError("vectors that are not all finite")
    return vectors
