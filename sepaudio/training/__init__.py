"""From a recipe to a model folder: augmented features, the training run, calibration."""
