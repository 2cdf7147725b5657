"""Exports of sessions and of jobs' tables to files of other programs."""
