"""The model made of PyTorch's own modules, as other programs train it, and a `.pt` file of it."""

from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hlx_model.corpus import examples_table, read_corpus, tables
from hlx_model.model.sizes import SIZES, Architecture
from hlx_model.model.tokenizer import PAD, encode_example

STEPS, ROWS = 150, 32


class UsersModel(nn.Module):
    """The same model, made of PyTorch's modules under their names."""

    def __init__(self, a: Architecture, positions: int = 512, vocabulary: int = 117) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(vocabulary, a.d_model)
        self.position_embedding = nn.Embedding(positions, a.d_model)
        layer = nn.TransformerEncoderLayer(
            a.d_model, a.heads, a.ffn, dropout=0.1, activation="relu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, a.layers, enable_nested_tensor=False)
        self.output_projection = nn.Linear(a.d_model, vocabulary)

    def forward(self, ids_BT: Tensor) -> Tensor:
        length = ids_BT.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        x_BTD = self.token_embedding(ids_BT) + self.position_embedding(torch.arange(length))
        logits_BTV: Tensor = self.output_projection(self.transformer(x_BTD, mask=mask, is_causal=True))
        return logits_BTV


def trained_pt(path: Path, document: Path) -> Path:
    """Write a `.pt` file of a tiny model that learned a document's pairs for 150 steps of 32 rows; return its path."""
    torch.manual_seed(0)
    random, model = Random(0), UsersModel(SIZES["tiny"])
    pairs = tables.PAIRED_CORPUS.table(examples_table(read_corpus([document])))
    texts = tables.model_texts(pairs, "train")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(STEPS):
        rows = [encode_example(text) for text in random.sample(texts, ROWS)]
        longest = max(map(len, rows))
        ids_BT = torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])
        optimizer.zero_grad()
        logits_BTV = model(ids_BT[:, :-1])
        loss = F.cross_entropy(logits_BTV.flatten(0, 1), ids_BT[:, 1:].flatten(), ignore_index=PAD)
        torch.autograd.backward(loss)
        optimizer.step()
    torch.save(model.state_dict(), path)
    return path
