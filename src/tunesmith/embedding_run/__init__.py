"""The run of a recipe with ``task: embedding``: inputs, work, judge, keep, and the story that goes through them."""
