"""Recipes that are good: a few by hand, and a strategy of many."""

from typing import Any

from hypothesis import strategies as st

from tunesmith.recipe.tasks import TASKS
from tunesmith.recipe.upstream_names import OPTIMIZERS, SCHEDULES

GOOD: list[dict[str, Any]] = [
    {"data": {"train": "a.csv"}},
    {"data": {"train": "hub:org/name", "validation": None, "test": 0.2}, "model": {"name": "org/model", "revision": "main"}},
    {"data": {"train": "a.csv", "columns": {"text": "t", "pair": "p", "label": ["x", "y"], "group": "g"}, "max_length": 128}},
    {"task": "regression", "data": {"train": "a.csv", "validation": "b.csv", "test": "c.csv"}, "evaluate": {"metric": "rmse"}},
    {"data": {"train": "a.csv"}, "adapter": {"method": "lora", "r": 8, "target_modules": ["query"]}},
    {"data": {"train": "a.csv"}, "train": {"max_steps": 10, "learning_rate": 1e-4, "class_weights": {"no": 1, "b": 0.5}}},
    {"data": {"train": "a.csv"}, "train": {"early_stopping": {}, "report_to": ["wandb", "trackio"], "train_layers": "last 2"}},
    {"data": {"train": "a.csv"}, "upstream": {"adam_epsilon": 1e-8, "lr_scheduler_kwargs": {"num_cycles": 2}}},
    {"data": {"train": "a.csv"}, "parallel": {"strategy": "ddp", "processes": 2}, "output": "runs/x"},
]

_name = st.text(min_size=1, max_size=12).filter(lambda text: "\0" not in text and text.strip() != "")
_file = _name.map(lambda text: f"{text}.csv")
_share = st.floats(0.01, 0.4)
_invalid_key = st.integers(1, 10**6)
_positive = st.floats(1e-9, 1e9)
_free = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


def _some(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=keys)


_train = _some(
    learning_rate=st.none() | _positive,
    per_device_train_batch_size=_invalid_key,
    weight_decay=st.floats(0, 10),
    warmup_steps=st.floats(0, 0.99) | st.integers(1, 100),
    lr_scheduler_type=st.sampled_from(sorted(SCHEDULES)),
    optim=st.sampled_from(sorted(OPTIMIZERS)),
    class_weights=st.sampled_from(["none", "balanced"]) | st.dictionaries(st.text(max_size=6), _positive, min_size=1, max_size=3),
    early_stopping=st.none() | _some(patience=_invalid_key, delta=st.floats(0, 1)),
    seed=st.integers(0, 2**31),
    fast=st.booleans(),
    report_to=st.sampled_from(["none", "wandb", ["tensorboard", "trackio"], []]),
    run_name=st.none() | st.text(max_size=12),
)
_length = _some(max_steps=_invalid_key) | _some(num_train_epochs=_positive)

RECIPES = st.fixed_dictionaries(
    {
        "data": st.builds(
            lambda train, rest: {"train": train, **rest},
            _file,
            _some(
                validation=_share,
                test=_share,
                columns=_some(text=st.just("t"), label=st.sampled_from(["l", ["l", "m"], "no", "1e5", "", None]).filter(bool)),
                header=st.none() | st.booleans(),
                encoding=st.sampled_from([None, "utf-8"]),
                max_length=st.none() | _invalid_key,
            ),
        )
    },
    optional={
        "model": _some(name=_name, trust_remote_code=st.booleans()),
        "adapter": st.none()
        | st.dictionaries(st.sampled_from(["r", "rank_pattern", "no"]), _free).map(lambda d: {"method": "lora", **d}),
        "train": st.builds(dict.__or__, _train, _length),
        "evaluate": _some(metric=st.sampled_from(sorted(TASKS["classification"].metrics)), tune_threshold=st.booleans()),
        "upstream": st.dictionaries(
            st.sampled_from(["adam_beta1", "lr_scheduler_kwargs", "debug", "optim_target_modules"]), _free
        ),
        "output": st.just("runs/x"),
    },
)
