"""Training: a recipe executed exactly. Needs only torch, numpy, scipy and pydantic, save for the stage driver."""
