"""A target or generator of your own as a process that actmax asks: a function is enough, and numpy all that it needs.

``serve_target`` listens at an address, ``offer_target`` dials in to a server; so do ``serve_generator`` and ``offer_generator``.
"""

from .offering import PluginOffering, offer_generator, offer_target
from .parts import Fault, GeneratorPlugin, TargetPlugin
from .serving import PluginServer, serve_generator, serve_target

__all__ = [
    "Fault",
    "GeneratorPlugin",
    "PluginOffering",
    "PluginServer",
    "TargetPlugin",
    "offer_generator",
    "offer_target",
    "serve_generator",
    "serve_target",
]
