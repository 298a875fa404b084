"""The head of a regression: fp32 under autocast, the plain layer's state, exact there and back, starting at the mean."""

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from tunesmith.models.number_head import NumberHead, use_number_head

SIZE = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
NEW = ("classifier.weight", "classifier.bias")


def tiny() -> BertForSequenceClassification:
    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(**SIZE, num_labels=1)).eval()


def ids() -> torch.Tensor:
    return torch.arange(1, 25).reshape(4, 6)


def test_a_trained_head_predicts_the_same():
    model = tiny()
    plain, state = model(ids()).logits, {name: tensor.clone() for name, tensor in model.state_dict().items()}
    use_number_head(model, scale=8.0)
    assert type(model.classifier) is NumberHead
    assert torch.allclose(model(ids()).logits, plain, atol=1e-6)
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())


def test_a_trained_head_stays_where_only_other_weights_are_new():
    model = tiny()
    plain = model(ids()).logits
    use_number_head(model, scale=8.0, mean=100.0, new_weights=("bert.pooler.dense.weight", "bert.pooler.dense.bias"))
    assert torch.allclose(model(ids()).logits, plain, atol=1e-6)


def test_a_new_head_starts_at_the_mean_with_outputs_of_the_targets_scale():
    model = tiny()
    plain = model(ids()).logits
    use_number_head(model, scale=1024.0, mean=2005.0, new_weights=NEW)
    assert torch.allclose(model(ids()).logits, 2005.0 + 1024.0 * plain, rtol=1e-6)


def test_the_state_there_and_back_is_exact(tmp_path):
    model = tiny()
    use_number_head(model, scale=2.0**11, mean=1999.7, new_weights=NEW)
    again = tiny()
    use_number_head(again, scale=2.0**11)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.classifier.weight, model.classifier.weight)
    assert torch.equal(again.classifier.bias, model.classifier.bias)
    model.save_pretrained(tmp_path)
    plain = BertForSequenceClassification.from_pretrained(tmp_path).eval()
    assert type(plain.classifier) is nn.Linear
    assert torch.allclose(plain(ids()).logits, model(ids()).logits, rtol=1e-6)


def test_numbers_keep_their_digits_under_bf16():
    model = tiny()
    use_number_head(model, scale=8.0, mean=2005.0, new_weights=NEW)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(ids()).logits
    assert outputs.dtype == torch.float32
    assert torch.allclose(outputs, model(ids()).logits, atol=0.1)
    assert outputs.unique().numel() == 4  # bf16 has 2000 and 2008, and nothing between


def test_a_model_without_such_a_layer_is_left_alone():
    model = nn.Sequential(nn.Linear(3, 2))
    use_number_head(model)
    assert type(model[0]) is nn.Linear


@pytest.mark.parametrize("scale", [0.0009765625, 1.0, 65536.0])
def test_training_does_not_depend_on_the_unit(scale):
    def trained(unit: float) -> torch.Tensor:
        torch.manual_seed(0)
        head: nn.Module = nn.Sequential(nn.Linear(4, 1))
        use_number_head(head, unit, 3.0 * unit, {"0.weight", "0.bias"})
        optimizer = torch.optim.AdamW(head.parameters(), lr=0.1)
        features = torch.randn(32, 4)
        targets = features.sum(1) * unit + 3.0 * unit
        for _ in range(50):
            loss = ((head(features).squeeze(-1) - targets) / unit).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return loss.detach()

    assert trained(scale).item() == pytest.approx(trained(1.0).item(), rel=1e-3)
