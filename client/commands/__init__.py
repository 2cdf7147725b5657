"""The commands of ``actmax``, one file for each group of commands."""
