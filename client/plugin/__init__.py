"""A target, generator or analysis of your own as a process that actmax asks: a function is enough, and numpy all that it needs.

``serve_target`` listens at an address, ``offer_target`` dials in to a server; so do the functions for generators and analyses.
"""

from .analysis import AnalysisPlugin, PluginContext, PluginFigure, PluginSection
from .offering import PluginOffering, offer_analysis, offer_generator, offer_target
from .parts import Fault, GeneratorPlugin, TargetPlugin
from .serving import PluginServer, serve_analysis, serve_generator, serve_target

__all__ = [
    "AnalysisPlugin",
    "Fault",
    "GeneratorPlugin",
    "PluginContext",
    "PluginFigure",
    "PluginOffering",
    "PluginSection",
    "PluginServer",
    "TargetPlugin",
    "offer_analysis",
    "offer_generator",
    "offer_target",
    "serve_analysis",
    "serve_generator",
    "serve_target",
]
