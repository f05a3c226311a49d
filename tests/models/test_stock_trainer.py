"""transformers' own Trainer, and plain DistributedDataParallel, on our classifiers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import Trainer, TrainingArguments

from emotionnet_hf.models import (
    EmotionNetForImageClassification,
    EmotionNetForPreTraining,
    EmotionNetForZeroShotImageClassification,
    TextCNNForSequenceClassification,
)

ROWS = 32
SINGLE, MULTI, REGRESSION = (
    "single_label_classification",
    "multi_label_classification",
    "regression",
)


def rows_of(model) -> list[dict]:
    """Inputs and labels that the model's class and problem_type want."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.rand(ROWS, 4, generator=generator)
    if model.config.problem_type == SINGLE:
        labels = labels.argmax(dim=1)
    elif model.config.problem_type == MULTI:
        labels = labels.round()
    if isinstance(model, TextCNNForSequenceClassification):
        inputs = {"input_ids": torch.randint(2, 9, (ROWS, 3), generator=generator)}
    else:
        inputs = {"pixel_values": torch.randn(ROWS, 3, 32, 32, generator=generator)}
    return [
        {"labels": labels[i], **{name: value[i] for name, value in inputs.items()}}
        for i in range(ROWS)
    ]


def trained(model, out: Path, size: int, accumulation: int) -> dict[str, torch.Tensor]:
    """Two steps of SGD on batches of 8 over all processes; writes the losses too."""
    arguments = TrainingArguments(
        output_dir=str(out),
        max_steps=2,
        per_device_train_batch_size=size,
        gradient_accumulation_steps=accumulation,
        learning_rate=0.5,
        optim="sgd",
        lr_scheduler_type="constant",
        max_grad_norm=0,
        logging_steps=1,
        report_to=[],
        disable_tqdm=True,
        save_strategy="no",
        use_cpu=True,
        ddp_find_unused_parameters=False,
        remove_unused_columns=False,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=rows_of(model))
    trainer.train()
    losses = [record["loss"] for record in trainer.state.log_history if "loss" in record]
    rank, world = arguments.process_index, arguments.world_size
    (out / f"rank_{rank}.json").write_text(json.dumps({"world": world, "losses": losses}))
    trainer.save_model(str(out / "model"))
    return load_file(out / "model" / "model.safetensors") if rank == 0 else {}


@pytest.fixture
def start(tiny_config, tiny_textcnn, tmp_path):
    """Saves a model of a problem type to start from; LayerNorm, or none, so that batches add up."""

    def make(kind, problem):
        if kind is TextCNNForSequenceClassification:
            model = tiny_textcnn(problem_type=problem)
        else:
            torch.manual_seed(0)
            model = kind(tiny_config("test_convnext", problem_type=problem))
        model.save_pretrained(tmp_path / kind.__name__)
        return tmp_path / kind.__name__

    return make


def same(found, expected, before):
    assert found.keys() == expected.keys() == before.keys()
    moved = 0
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-6)
        moved += not torch.equal(tensor, before[name])
    assert moved > 2


CLASSIFIERS = [EmotionNetForImageClassification, TextCNNForSequenceClassification]


@pytest.mark.parametrize("problem", [SINGLE, MULTI, REGRESSION])
@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_accumulation_does_not_scale_the_loss(start, kind, problem, tmp_path):
    folder = start(kind, problem)
    for name, size, accumulation in (("one", 8, 1), ("two", 4, 2)):
        (tmp_path / name).mkdir()
        trained(kind.from_pretrained(folder), tmp_path / name, size, accumulation)
    one, two = (json.loads((tmp_path / n / "rank_0.json").read_text()) for n in ("one", "two"))
    assert one["losses"] == pytest.approx(two["losses"], rel=1e-4)
    states = [load_file(tmp_path / n / "model" / "model.safetensors") for n in ("one", "two")]
    same(states[1], states[0], load_file(folder / "model.safetensors"))


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_predictions_are_the_logits(start, kind, tmp_path):
    model = kind.from_pretrained(start(kind, SINGLE))
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to=[])
    rows = rows_of(model)
    found = Trainer(model=model, args=arguments).predict(rows)
    inputs = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    with torch.no_grad():
        expected = model(**inputs)
    torch.testing.assert_close(torch.from_numpy(found.predictions), expected.logits)
    assert found.metrics["test_loss"] == pytest.approx(expected.loss.item(), rel=1e-4)


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_stock_trainer as t
for kind in t.CLASSIFIERS:
    folder = Path(sys.argv[2]) / kind.__name__
    t.trained(kind.from_pretrained(folder), folder / "two", 2, 2)
# A process that ends with its group still open may abort at its exit (threads of gloo).
t.torch.distributed.barrier()
t.torch.distributed.destroy_process_group()
"""


def test_two_processes_give_what_one_gives(start, tmp_path):
    """Plain DistributedDataParallel dies where what could learn gets no gradient."""
    expected = {}
    for kind in CLASSIFIERS:
        folder = start(kind, MULTI)
        (folder / "one").mkdir()
        (folder / "two").mkdir()
        expected[kind] = trained(kind.from_pretrained(folder), folder / "one", 8, 1)
    (tmp_path / "script.py").write_text(SCRIPT)
    here = Path(__file__).parent
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"),
        *(str(tmp_path / "script.py"), str(here), str(tmp_path)),
    ]
    environment = os.environ | {"PYTHONPATH": str(here.parents[1]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for kind in CLASSIFIERS:
        folder = tmp_path / kind.__name__
        one = json.loads((folder / "one" / "rank_0.json").read_text())
        ranks = [json.loads((folder / "two" / f"rank_{i}.json").read_text()) for i in range(2)]
        assert [one["world"], *(rank["world"] for rank in ranks)] == [1, 2, 2]
        assert one["losses"] == pytest.approx(ranks[0]["losses"], rel=1e-4)
        found = load_file(folder / "two" / "model" / "model.safetensors")
        same(found, expected[kind], load_file(folder / "model.safetensors"))


@pytest.mark.parametrize(
    "kind",
    [
        EmotionNetForImageClassification,
        EmotionNetForZeroShotImageClassification,
        EmotionNetForPreTraining,
    ],
)
def test_whatever_can_learn_gets_a_gradient(tiny_config, pictures, kind, tmp_path):
    kind(tiny_config(auxiliary_dim=3)).save_pretrained(tmp_path)
    for model in (kind(tiny_config(auxiliary_dim=3)), kind.from_pretrained(tmp_path)):
        ids = {} if kind is EmotionNetForImageClassification else {"input_ids": torch.tensor([[2]])}
        output = model(pixel_values=pictures(), **ids)
        sum(value.sum() for value in output.to_tuple()).backward()
        idle = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
        assert idle == []
        assert any(p.grad is not None for p in model.emotionnet.backbone.parameters())
