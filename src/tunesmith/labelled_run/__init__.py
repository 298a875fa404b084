"""The run of a classifier or a regression: inputs, work, judge, keep, and the story that goes through them."""
