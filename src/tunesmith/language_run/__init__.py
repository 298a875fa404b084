"""The run of a language model (``task: sft``, ``task: pretraining``): inputs, work, judge, keep, and the story through them."""
