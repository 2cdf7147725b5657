"""Your own target, generator or analysis as a process that answers actmax: a function and numpy are enough.

``serve_target`` listens at an address, ``offer_target`` connects to a server; so do the functions for generators and analyses.
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
