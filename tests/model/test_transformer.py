"""The model has exact sizes and the logits of PyTorch's own encoder; a step gives what a pass gives."""

import pytest
import torch
from torch import Tensor, nn

from hlx_model.model.sizes import POSITIONS, SIZES, architecture
from hlx_model.model.transformer import Cache, Transformer

PARAMETERS = {
    "tiny": 492_149,
    "10m": 7_384_437,
    "50m": 43_100_277,
    "100m": 101_533_813,
    "250m": 237_084_277,
    "500m": 454_450_293,
    "1b": 1_008_693_365,
}


@pytest.fixture(scope="module")
def model() -> Transformer:
    """Return the tiny model with all weights random, so that each has an effect."""
    model = Transformer(SIZES["tiny"]).initialize(seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)
    return model.eval()


def tokens(*shape: int) -> Tensor:
    return torch.randint(4, 117, shape, generator=torch.Generator().manual_seed(2))


def test_the_seven_sizes_have_the_documented_numbers_of_parameters() -> None:
    assert {size: a.parameters for size, a in SIZES.items()} == PARAMETERS


@pytest.mark.parametrize("size", ["tiny", "10m"])
def test_a_built_model_has_these_numbers_of_parameters(size: str) -> None:
    model = Transformer(architecture(size))
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[size]
    assert sum(tensor.numel() for tensor in model.state_dict().values()) == PARAMETERS[size]


def test_1b_with_128_positions_has_the_parameters_of_an_older_model() -> None:
    assert SIZES["1b"].parameters - (POSITIONS - 128) * SIZES["1b"].d_model == 1_007_906_933


def test_an_unknown_size_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match="size is '2b': choose one of tiny, 10m, 50m, 100m, 250m, 500m, 1b"):
        architecture("2b")


def test_the_logits_are_those_of_pytorchs_own_encoder(model: Transformer) -> None:
    a = model.architecture
    layer = nn.TransformerEncoderLayer(
        a.d_model, a.heads, a.ffn, dropout=0.0, activation="relu", batch_first=True, norm_first=True
    )
    encoder = nn.TransformerEncoder(layer, a.layers, enable_nested_tensor=False)
    named = {name: t for name, t in model.state_dict().items() if name.startswith("transformer.")}
    encoder.load_state_dict({name.removeprefix("transformer."): t for name, t in named.items()})
    ids_BT = tokens(3, 70)
    with torch.no_grad():
        x_BTD = model.token_embedding(ids_BT) + model.position_embedding(torch.arange(70))
        mask = nn.Transformer.generate_square_subsequent_mask(70)
        expected = model.output_projection(encoder(x_BTD, mask=mask, is_causal=True))
        torch.testing.assert_close(model(ids_BT), expected, atol=1e-5, rtol=1e-5)


def test_a_cached_step_gives_the_logits_of_a_full_pass(model: Transformer) -> None:
    ids_BT, lengths = tokens(3, 12), [4, 9, 7]
    cache = Cache.zeros(model, 3, 12)
    with torch.no_grad():
        model.fill(ids_BT[:, :9], cache)
        for k in range(3):
            position_B = torch.tensor(lengths) + k
            stepped_BV = model.step(ids_BT[torch.arange(3), position_B], position_B, cache)
            for row, position in enumerate(position_B.tolist()):
                full_V = model(ids_BT[row : row + 1, : position + 1])[0, -1]
                torch.testing.assert_close(stepped_BV[row], full_V, atol=1e-5, rtol=1e-5)


def test_512_positions_fit_and_one_more_is_refused(model: Transformer) -> None:
    with torch.no_grad():
        assert model(tokens(1, 512)).shape == (1, 512, 117)
    with pytest.raises(ValueError, match="a sequence of 513 tokens: the model has 512 positions"):
        model(tokens(1, 513))


def test_the_seed_decides_the_weights() -> None:
    first, again, other = (Transformer(SIZES["tiny"]).initialize(seed).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["token_embedding.weight"], other["token_embedding.weight"])
