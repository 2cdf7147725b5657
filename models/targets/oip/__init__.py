"""Models behind the Open Inference Protocol, version 2: Triton, KServe, MLServer."""

from .target import InferenceTarget

__all__ = ["InferenceTarget"]
