"""Reward functions of the tiny recipes of ppo and grpo: they get prompts, completions and the columns of the rows, as in TRL."""


def words_of_the_answer(completions, output, **_):
    """The share of the words of the right answer that stand in the generated one."""
    return [
        len(set(right.lower().split()) & set(text.lower().split())) / len(set(right.lower().split()))
        for text, right in zip(completions, output, strict=True)
    ]


def right_answer(completions, output, **_):
    """Whether the generated answer is the right one: held back as gold."""
    return [float(text.strip() == right.strip()) for text, right in zip(completions, output, strict=True)]
