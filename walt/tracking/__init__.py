"""Floor 2: runs, metrics and model versions. The only room that imports mlflow."""
