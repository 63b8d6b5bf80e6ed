"""The door of prediction: a published model is loaded and predicts, offline, without Prefect and without PyTorch."""

from tasks.predict.loading import load
from tasks.predict.predictor import Predictor

__all__ = ["Predictor", "load"]
