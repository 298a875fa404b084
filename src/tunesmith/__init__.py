"""tunesmith: a tuned model and the evidence that it is better."""

__version__ = "0.1.0"
