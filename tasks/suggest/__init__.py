"""The door of suggestions: which candidates to measure next, and what following such advice would have saved."""

from tasks.suggest.measured import Measured, opened
from tasks.suggest.simulation import Simulation, simulate
from tasks.suggest.suggestions import Suggestions, suggest

__all__ = ["Measured", "Simulation", "Suggestions", "opened", "simulate", "suggest"]
