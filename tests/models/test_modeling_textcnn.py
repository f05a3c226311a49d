import json

import pytest
import torch
from transformers import AutoConfig

from emotionnet_hf.models import TextCNNConfig, TextCNNForSequenceClassification, TextCNNModel

LISTS = [[2, 3, 4], [5], [6, 2, 7, 1], [1, 1], []]
VARIANTS = ["paper", "published_code", "published_code_nlt"]


def padded(lists, length=None):
    length = length or max(map(len, lists))
    ids = torch.tensor([row + [0] * (length - len(row)) for row in lists])
    mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in lists])
    return ids, mask


def naive_features(model, keywords):
    """One list, keyword by keyword, as section 4 or the published code says."""
    config, trunk = model.config, model.textcnn
    keywords = keywords or [config.unk_token_id] * (config.pooling == "masked")
    if config.pooling == "padded":
        keywords = (keywords + [0] * config.max_keywords)[: config.max_keywords]
    total = torch.zeros(config.hidden_size)
    for keyword in keywords:
        word = trunk.embedding.weight[keyword]
        total += torch.relu(trunk.conv.weight[:, :, 0] @ word + trunk.conv.bias)
    average = total / len(keywords)
    if config.batch_norm:
        norm = trunk.norm
        average = (average - norm.running_mean) / torch.sqrt(norm.running_var + norm.eps)
        average = average * norm.weight + norm.bias
    if not config.hidden_layer:
        return average
    features = trunk.fc.weight @ average + trunk.fc.bias
    return torch.relu(features) if config.activation == "relu" else features


def naive_logits(model, keywords):
    return model.classifier.weight @ naive_features(model, keywords) + model.classifier.bias


@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_equal_the_naive_oracle(tiny_textcnn, variant):
    model = tiny_textcnn(variant)
    with torch.no_grad():
        output = model(*padded(LISTS))
        features = torch.stack([naive_features(model, row) for row in LISTS])
        logits = torch.stack([naive_logits(model, row) for row in LISTS])
    torch.testing.assert_close(output.pooler_output, features, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(output.logits, logits, rtol=1e-4, atol=1e-6)


def test_the_published_code_differs_from_the_paper_where_the_docs_say():
    paper, code = TextCNNConfig(), TextCNNConfig.published_code()
    assert (paper.pooling, paper.activation, paper.batch_norm) == ("masked", "relu", False)
    assert (code.pooling, code.activation, code.batch_norm) == ("padded", "none", True)
    assert (code.dropout, code.max_keywords) == (0.5, 100)
    assert TextCNNConfig.published_code(dropout=0.1).dropout == 0.1


def test_the_plain_variant_reads_its_classes_from_the_average(tiny_textcnn):
    config, plain = TextCNNConfig.published_code(), TextCNNConfig.published_code_nlt()
    assert config.hidden_layer and not plain.hidden_layer
    assert {"hidden_layer"} == {k for k, v in plain.to_dict().items() if v != config.to_dict()[k]}
    names = {name for name, _ in tiny_textcnn("published_code_nlt").named_parameters()}
    assert not [name for name in names if name.startswith("textcnn.fc")]
    assert {name for name, _ in tiny_textcnn("published_code").named_parameters()} - names == {
        *("textcnn.fc.weight", "textcnn.fc.bias")
    }


@pytest.mark.parametrize("hidden", [True, False])
def test_dropout_comes_as_often_as_in_the_published_code(tiny_textcnn, hidden):
    model = tiny_textcnn("published_code" if hidden else "published_code_nlt").train()
    calls = []
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout):
            module.register_forward_hook(lambda *_, name=name: calls.append(name))
    model(*padded(LISTS))
    assert calls == ["textcnn.dropout", "dropout"][0 if hidden else 1 :]


@pytest.mark.parametrize("variant", VARIANTS)
def test_features_of_single_keywords_are_the_convolutions_own(tiny_textcnn, variant):
    trunk = tiny_textcnn(variant).textcnn
    ids = torch.tensor([5, 2, 7])
    found = trunk.keyword_features(ids)
    assert found.shape == (3, 4)
    torch.testing.assert_close(found, trunk(ids[:, None]).last_hidden_state[:, 0])


def test_the_published_code_has_no_nonlinearity_after_the_average(tiny_textcnn):
    model = tiny_textcnn("published_code")
    assert (model.textcnn(*padded(LISTS)).pooler_output < 0).any()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_order_of_keywords_does_not_matter(tiny_textcnn, variant):
    model = tiny_textcnn(variant)
    logits = model(torch.tensor([[2, 3, 4, 5], [5, 3, 2, 4]])).logits
    torch.testing.assert_close(logits[0], logits[1])


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_length_of_the_batch_does_not_matter(tiny_textcnn, variant):
    model = tiny_textcnn(variant)
    short, long = model(*padded(LISTS)).logits, model(*padded(LISTS, 20)).logits
    torch.testing.assert_close(short, long)


@pytest.mark.parametrize("variant", VARIANTS)
def test_without_a_mask_padding_does_not_count(tiny_textcnn, variant):
    model = tiny_textcnn(variant)
    ids, mask = padded(LISTS, 8)
    assert torch.equal(model(ids).logits, model(ids, mask).logits)


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_the_mask_hides_does_not_count(tiny_textcnn, variant):
    model = tiny_textcnn(variant)
    hidden = model(torch.tensor([[2, 3, 4]]), torch.tensor([[1, 0, 1]])).logits
    torch.testing.assert_close(hidden, model(torch.tensor([[2, 4]])).logits)


def test_the_published_code_reads_the_first_hundred_keywords(tiny_textcnn):
    model = tiny_textcnn("published_code")
    ids = torch.randint(2, 9, (1, 130), generator=torch.Generator().manual_seed(0))
    assert torch.equal(model(ids).logits, model(ids[:, :100]).logits)
    assert not torch.equal(model(ids).logits, model(ids[:, :99]).logits)


def test_the_paper_reads_all_keywords(tiny_textcnn):
    model = tiny_textcnn()
    ids = torch.tensor([[2] * 120 + [3]])
    torch.testing.assert_close(model(ids).logits[0], naive_logits(model, ids[0].tolist()))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])  # what torch.tensor([[]]) is
def test_an_empty_list_is_an_unknown_word_alone_or_in_a_batch(tiny_textcnn, variant, dtype):
    model = tiny_textcnn(variant)
    for row in (0, 1):  # as training makes them
        model.textcnn.embedding.weight.data[row] = 0
    unknown = model(torch.tensor([[1]])).logits[0]
    nothing = torch.empty(1, 0, dtype=dtype)
    for output in (
        model(nothing),
        model(nothing, torch.empty(1, 0, dtype=dtype)),
        model(torch.zeros(1, 3, dtype=torch.int64)),
        model(torch.tensor([[0, 0], [2, 3]])),
        model(torch.tensor([[4, 0], [2, 3]]), torch.tensor([[0, 0], [1, 1]])),
    ):
        torch.testing.assert_close(output.logits[0], unknown)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("length", [0, 3])
def test_no_list_gives_no_row(tiny_textcnn, variant, length):
    output = tiny_textcnn(variant)(torch.empty(0, length, dtype=torch.int64))
    assert output.logits.shape == (0, 4)
    assert output.pooler_output.shape == (0, 4)


def test_the_hidden_state_has_a_vector_a_keyword(tiny_textcnn):
    hidden = tiny_textcnn().textcnn(*padded(LISTS)).last_hidden_state
    assert hidden.shape == (5, 4, 4)
    assert (hidden >= 0).all()


def test_word_vectors_are_not_trained(tiny_textcnn):
    model = tiny_textcnn()
    assert model.get_input_embeddings() is model.textcnn.embedding
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {"textcnn.embedding.weight"}


def test_tuples_hold_what_outputs_hold(tiny_textcnn):
    model = tiny_textcnn()
    for part in (model, model.textcnn):
        expected = part(*padded(LISTS)).to_tuple()
        given = part(*padded(LISTS), return_dict=False)
        assert isinstance(given, tuple)
        assert all(map(torch.equal, given, expected))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_saved_model_computes_the_same_to_the_last_bit(tiny_textcnn, tmp_path, variant):
    model = tiny_textcnn(variant)
    model.save_pretrained(tmp_path)
    loaded = TextCNNForSequenceClassification.from_pretrained(tmp_path)
    assert torch.equal(loaded(*padded(LISTS)).logits, model(*padded(LISTS)).logits)
    trunk = TextCNNModel.from_pretrained(tmp_path)
    expected = model.textcnn(*padded(LISTS)).pooler_output
    assert torch.equal(trunk(*padded(LISTS)).pooler_output, expected)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_configuration_survives_saving(tiny_textcnn, tmp_path, variant):
    config = tiny_textcnn(variant, max_keywords=50).config
    config.save_pretrained(tmp_path)
    for loaded in (TextCNNConfig.from_pretrained(tmp_path), AutoConfig.from_pretrained(tmp_path)):
        assert {**loaded.to_dict(), "_name_or_path": ""} == {**config.to_dict()}


def test_only_safetensors_and_code_are_saved(tiny_textcnn, tmp_path):
    tiny_textcnn().save_pretrained(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json",
        "model.safetensors",
        "configuration_textcnn.py",
        "modeling_textcnn.py",
        "modeling_strict.py",
    }
    assert set(json.loads((tmp_path / "config.json").read_text())["auto_map"]) == {
        "AutoConfig",
        "AutoModel",
        "AutoModelForSequenceClassification",
    }
