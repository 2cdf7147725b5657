"""The common part of targets and generators behind ``actmax.v1.TargetService`` and ``GeneratorService``."""
