"""Language models and embedders by `provider:name`."""
