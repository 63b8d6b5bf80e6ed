"""The door of prediction: a published model is loaded and predicts, offline, without Prefect and without PyTorch."""

from tasks.predict.inputs import Inputs
from tasks.predict.loading import load
from tasks.predict.naming import is_recipe, locate
from tasks.predict.onnx import export
from tasks.predict.predictor import Predictor
from tasks.predict.stream import predict_files

__all__ = ["Inputs", "Predictor", "export", "is_recipe", "load", "locate", "predict_files"]
