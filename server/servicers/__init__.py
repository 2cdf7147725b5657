"""The services of ``actmax.v1``: messages in, messages out, and nothing else."""
