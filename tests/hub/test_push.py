import hashlib
import json
import shutil
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import DatasetCard, HfApi, ModelCard
from PIL import Image

from emotionnet_hf.data import build_dataset
from emotionnet_hf.hub import (
    CardError,
    HubError,
    NotLoggedInError,
    PrivateTextError,
    push_dataset,
    push_model,
)


def with_card(model: Path) -> list[str]:
    """What is published of a model folder."""
    return sorted([*(path.name for path in model.iterdir()), "README.md", "example.jpg"])


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sent(hub) -> Counter[str]:
    """How often each object, or part of one, was sent."""
    return Counter(
        r.path.removeprefix("/lfs/") + "".join(f"#{n}" for n in r.query.get("part", []))
        for r in hub.asked("PUT", "^/lfs/")
    )


def test_model_is_published_whole_in_one_commit(hub, run_folder, checkpoint):
    report = push_model(run_folder, "alice/emotions", progress=False)
    assert hub.paths("alice/emotions") == with_card(checkpoint)
    assert hub.repository("alice/emotions").titles() == [
        "initial commit",
        "Push the model with emotionnet_hf",
    ]
    for path in checkpoint.iterdir():
        assert hub.read("alice/emotions", path.name) == path.read_bytes()
    assert hub.read("alice/emotions", "example.jpg")[:2] == b"\xff\xd8"
    assert not hub.repository("alice/emotions").private
    assert report.url == f"{hub.url}/alice/emotions"
    assert report.commit == hub.repository("alice/emotions").commit("main").oid
    count = len(with_card(checkpoint))
    assert (report.files, report.removed, report.left_out) == (count, (), ())
    assert report.summary() == f"{hub.url}/alice/emotions: {count} files"


def test_timm_export_is_published(hub, timm_export):
    report = push_model(timm_export, "alice/timm", license="mit", progress=False)
    expected = ["README.md", "config.json", "example.jpg", "model.safetensors", "timm.json"]
    assert hub.paths("alice/timm") == expected
    assert (report.left_out, report.removed) == ((), ())
    assert ModelCard.load("alice/timm").data.library_name == "timm"


def test_licence_of_converted_weights_is_asked_for_before_anything_else(hub, model):
    (model / "conversion.json").write_text("{}")
    with pytest.raises(CardError, match=r"converted.*--license"):
        push_model(model, "alice/emotions", progress=False)
    (model / "conversion.json").write_text('{"kind": "two-branch"}')
    with pytest.raises(CardError, match=r"converted.*--license"):
        push_model(model, "alice/emotions", progress=False)
    assert not hub.requests
    push_model(model, "alice/emotions", license="other", progress=False)
    assert hub.read("alice/emotions", "conversion.json") == b'{"kind": "two-branch"}'


def test_nothing_is_hashed_before_the_card_is_known_to_be_right(hub, model, monkeypatch):
    from emotionnet_hf.hub import push as module

    hashed = []
    operation = module.CommitOperationAdd

    def note(name, content):
        hashed.append((name, sorted(hub.storage.repositories)))
        return operation(name, content)

    monkeypatch.setattr(module, "CommitOperationAdd", note)
    with pytest.raises(CardError, match="refuses"):
        push_model(model, "alice/emotions", license="my-own-1.0", progress=False)
    monkeypatch.setenv("HF_TOKEN", hub.OTHER)
    with pytest.raises(HubError, match="may not write"):
        push_model(model, "alice/emotions", progress=False)
    assert not hashed
    monkeypatch.setenv("HF_TOKEN", hub.WRITE)
    push_model(model, "alice/emotions", progress=False)
    # The repository was there when the first was hashed.
    assert [name for name, _ in hashed if name != ".gitattributes"]
    assert all(repositories for _, repositories in hashed)


def test_hashing_shows_its_progress(hub, model, capfd):
    push_model(model, "alice/emotions", progress=True)
    assert "Hash files" in capfd.readouterr().err
    push_model(model, "alice/emotions", progress=False)
    assert "Hash files" not in capfd.readouterr().err


def test_files_of_others_stay(hub, model, built):
    """Only what an earlier push of ours may have left is taken away."""
    theirs = ["adapter_model.safetensors", "modeling_theirs.py", "pipeline_theirs.py", "model.py"]
    for name in theirs:
        (model / name).write_bytes((model / "model.safetensors").read_bytes())
        if name.endswith(".py"):
            (model / name).write_text("")
    push_model(model, "alice/emotions", progress=False)
    for name in (*theirs, "modeling_textcnn.py"):
        (model / name).unlink(missing_ok=True)
    assert push_model(model, "alice/emotions", progress=False).removed == ()
    # Code of ours under its exact name does not stay beside other weights.
    (model / "modeling_textcnn.py").write_text("")
    push_model(model, "alice/emotions", progress=False)
    (model / "modeling_textcnn.py").unlink()
    report = push_model(model, "alice/emotions", progress=False)
    assert report.removed == ("modeling_textcnn.py",)
    assert {*theirs} <= set(hub.paths("alice/emotions"))
    push_dataset(built, "alice/words", license="mit", progress=False)
    api = HfApi()
    for name in ("data/theirs.parquet", "data/extra-00000-of-00001.parquet", "more/a.parquet"):
        api.upload_file(
            path_or_fileobj=b"x",
            path_in_repo=name,
            repo_id="alice/words",
            repo_type="dataset",
        )
    assert push_dataset(built, "alice/words", license="mit", progress=False).removed == ()


def test_same_push_again_changes_and_sends_nothing(hub, model, checkpoint):
    for _ in range(2):
        push_model(model, "alice/emotions", progress=False)
    assert len(hub.repository("alice/emotions").titles()) == 2
    assert set(sent(hub).values()) == {1}
    # The caller's folder is theirs.
    assert with_card(model) == with_card(checkpoint)


def test_name_without_owner_is_ones_own(hub, model):
    assert push_model(model, "emotions", progress=False).repo_id == "alice/emotions"
    card = hub.read("alice/emotions", "README.md").decode()
    assert 'from_pretrained("alice/emotions"' in card


def test_what_is_not_published_is_told(hub, model, checkpoint):
    (model / "optimizer.npz").write_bytes(b"")
    (model / ".cache").mkdir()
    (model / ".cache" / "x.json").write_text("{}")
    report = push_model(model, "alice/emotions", progress=False)
    assert report.left_out == ("optimizer.npz",)
    assert "not published: optimizer.npz" in report.summary()
    assert hub.paths("alice/emotions") == with_card(checkpoint)


def test_private_repository(hub, model, monkeypatch):
    push_model(model, "alice/emotions", private=True, progress=False)
    assert hub.repository("alice/emotions").private
    assert push_model(model, "alice/emotions", private=True, progress=False)
    monkeypatch.setenv("HF_TOKEN", hub.OTHER)
    with pytest.raises(HubError, match=r"may not write|There is no repository"):
        push_model(model, "alice/emotions", progress=False)


def test_private_push_to_a_public_repository_is_refused(hub, model):
    hub.storage.create("model", "alice/emotions")
    with pytest.raises(HubError, match="exists and is public"):
        push_model(model, "alice/emotions", private=True, progress=False)
    assert hub.paths("alice/emotions") == []
    assert not sent(hub)


def test_revision_is_a_branch_that_is_made_if_need_be(hub, model):
    for _ in range(2):
        push_model(model, "alice/emotions", revision="v2", progress=False)
    assert hub.paths("alice/emotions") == []
    assert hub.paths("alice/emotions", revision="v2") == with_card(model)


def test_pull_request_to_another_owner(hub, model, monkeypatch):
    hub.storage.create("model", "alice/emotions")
    monkeypatch.setenv("HF_TOKEN", hub.OTHER)
    with pytest.raises(HubError, match=r"may not write to alice/emotions.*--create-pr"):
        push_model(model, "alice/emotions", progress=False)
    report = push_model(model, "alice/emotions", create_pr=True, progress=False)
    assert report.url == f"{hub.url}/alice/emotions/discussions/1"
    assert hub.paths("alice/emotions") == []
    assert hub.paths("alice/emotions", revision="refs/pr/1") == with_card(model)


def test_pull_request_is_added_to_by_its_revision(hub, model):
    push_model(model, "alice/emotions", create_pr=True, progress=False)
    (model / "README.md").write_text("---\nlicense: mit\n---\nMine.")
    push_model(model, "alice/emotions", revision="refs/pr/1", progress=False)
    assert len(hub.repository("alice/emotions").titles("refs/pr/1")) == 3
    with pytest.raises(HubError, match="leave out the revision"):
        push_model(model, "alice/emotions", revision="v2", create_pr=True, progress=False)
    with pytest.raises(HubError, match="has no such revision"):
        push_model(model, "alice/emotions", revision="refs/pr/7", progress=False)


def test_data_set_is_published_with_its_licence(hub, built):
    report = push_dataset(built, "alice/words", license="cc-by-4.0", progress=False)
    shards = sorted(f"data/{path.name}" for path in (built / "data").iterdir())
    expected = sorted(["README.md", "build.json", "quarantine.parquet", *shards])
    assert hub.paths("alice/words", "dataset") == expected
    for name in set(expected) - {"README.md"}:
        assert hub.read("alice/words", name, "dataset") == (built / name).read_bytes()
    assert report.url == f"{hub.url}/datasets/alice/words"
    assert len(shards) > 3


def test_licence_is_asked_for_before_anything_else(hub, built):
    with pytest.raises(CardError, match=r"no licence.*rights.*--license"):
        push_dataset(built, "alice/words", progress=False)
    assert not hub.requests


def test_shards_of_an_earlier_push_do_not_stay_beside_the_new_ones(hub, built, _built):
    push_dataset(built, "alice/words", license="mit", progress=False)
    hub.storage.blobs["0"] = b""
    for old, new in (("-of-", "-of-0"), ("-of-0", "-of-00")):
        for path in list((built / "data").iterdir()):
            path.rename(path.with_name(path.name.replace(old, new, 1)))
    report = push_dataset(built, "alice/words", license="mit", progress=False)
    assert set(report.removed) == {f"data/{path.name}" for path in (_built / "data").iterdir()}
    shards = {f"data/{path.name}" for path in (built / "data").iterdir()}
    there = set(hub.paths("alice/words", "dataset"))
    assert {name for name in there if name.startswith("data/")} == shards
    # By another name, and yet not sent again.
    assert set(sent(hub).values()) == {1}


def test_dropped_connection_is_tried_again(hub, model, impatient):
    hub.faults.cut_uploads = {digest(model / "model.safetensors"): 1}
    push_model(model, "alice/emotions", progress=False)
    assert sent(hub)[digest(model / "model.safetensors")] == 2
    assert hub.paths("alice/emotions") == with_card(model)


def test_broken_push_goes_on_without_sending_again_what_arrived(hub, built, impatient):
    everything = {digest(path) for path in built.rglob("*.parquet")}
    broken = digest(max((built / "data").iterdir()))
    hub.faults.cut_uploads = {broken: 100}
    with pytest.raises(HubError, match=r"cannot be reached.*start the same push again"):
        push_dataset(built, "alice/words", license="mit", progress=False)
    # A reader sees nothing of half a data set.
    assert hub.paths("alice/words", "dataset") == []
    arrived = set(hub.storage.objects)
    assert arrived
    assert arrived <= everything - {broken}
    hub.faults.cut_uploads = {}
    before = sent(hub)
    push_dataset(built, "alice/words", license="mit", progress=False)
    assert sent(hub) - before == dict.fromkeys(everything - arrived, 1)
    assert len(hub.repository("alice/words", "dataset").titles()) == 2


def test_large_file_goes_in_parts_and_only_a_broken_part_is_sent_again(hub, model, impatient):
    weights = model / "model.safetensors"
    hub.part_size = 400_000
    hub.faults.cut_uploads = {f"{digest(weights)}#3": 2}
    push_model(model, "alice/emotions", progress=False)
    count = -(-weights.stat().st_size // hub.part_size)
    parts = {f"{digest(weights)}#{n}": 1 for n in range(1, count + 1)}
    parts |= {f"{digest(weights)}#3": 3}
    assert count > 3
    assert {name: n for name, n in sent(hub).items() if "#" in name} == parts
    assert hub.read("alice/emotions", "model.safetensors") == weights.read_bytes()


def test_push_needs_a_token_that_the_hub_knows(hub, model, monkeypatch):
    with pytest.raises(NotLoggedInError, match="hf auth login"):
        push_model(model, "alice/emotions", token="hf_stale", progress=False)
    with pytest.raises(HubError, match=r"may not write.*write permission"):
        push_model(model, "alice/emotions", token=hub.READ, progress=False)
    monkeypatch.delenv("HF_TOKEN")
    asked = len(hub.requests)
    with pytest.raises(NotLoggedInError, match=r"there is none.*hf auth login.*HF_TOKEN"):
        push_model(model, "alice/emotions", progress=False)
    assert len(hub.requests) == asked


@pytest.mark.parametrize("name", ["alice/emo tions", "a/b/c", "alice/-x", "x" * 97])
def test_name_that_no_repository_can_have(hub, model, name):
    with pytest.raises(HubError, match="cannot be the name"):
        push_model(model, name, progress=False)
    assert not hub.requests


def test_hub_that_refuses_the_card_gets_nothing_else(hub, model):
    with pytest.raises(CardError, match=r"refuses.*\"license\" must be one of"):
        push_model(model, "alice/emotions", license="my-own-1.0", progress=False)
    assert not hub.storage.repositories


def test_card_with_a_secret_is_not_sent(hub, model, run_folder):
    secret = f"hf_{'a1' * 17}"
    arguments = json.loads((run_folder / "arguments.json").read_text())
    (run_folder / "arguments.json").write_text(json.dumps(arguments | {"tracker_key": secret}))
    with pytest.raises(PrivateTextError, match="The card holds what looks like a token"):
        push_model(run_folder, "alice/emotions", progress=False)
    assert not hub.storage.repositories


def test_results_reach_the_metadata(hub, run_folder, tmp_path):
    results = tmp_path / "probe.json"
    record = {"dataset": "DeepEmotion", "split": "test", "protocol": "linear-probe"}
    record |= {"environment": {"packages": {"torch": "2.15.0"}}}
    results.write_text(json.dumps(record | {"metrics": {"accuracy": {"mean": 0.625, "sd": 0.01}}}))
    push_model(
        *(run_folder, "alice/emotions"),
        results=[results],
        datasets=["alice/words"],
        progress=False,
    )
    card = ModelCard.load("alice/emotions")
    found = {
        (r.dataset_name, r.dataset_split, r.metric_type): r.metric_value
        for r in card.data.eval_results
    }
    assert found == {
        ("stockemotion", "validation", "hit_at_1"): 0.25,
        ("stockemotion", "validation", "mean_average_precision"): 0.375,
        ("DeepEmotion", "test", "accuracy"): 0.625,
    }
    assert card.data.datasets == ["alice/words"]
    info = HfApi().model_info("alice/emotions")
    assert info.sha == hub.repository("alice/emotions").commit("main").oid


def test_progress_bars_are_left_as_they_were(hub, model):
    from huggingface_hub.utils import are_progress_bars_disabled

    before = are_progress_bars_disabled()
    push_model(model, "alice/emotions", progress=False)
    assert are_progress_bars_disabled() == before


def test_weights_of_an_earlier_push_do_not_stay_beside_the_new_ones(hub, model):
    (model / "onnx").mkdir()
    (model / "onnx" / "model.onnx").write_bytes(b"onnx")
    (model / "trunk").mkdir()
    shutil.copy(model / "model.safetensors", model / "trunk" / "model.safetensors")
    shutil.copy(model / "model.safetensors", model / "model-00001-of-00002.safetensors")
    push_model(model, "alice/emotions", progress=False)
    assert hub.read("alice/emotions", "onnx/model.onnx") == b"onnx"
    (model / "model-00001-of-00002.safetensors").unlink()
    shutil.rmtree(model / "onnx")
    shutil.rmtree(model / "trunk")
    report = push_model(model, "alice/emotions", progress=False)
    # What lies in folders is not read together with the new weights, and stays.
    assert report.removed == ("model-00001-of-00002.safetensors",)
    there = set(hub.paths("alice/emotions"))
    assert {"onnx/model.onnx", "trunk/model.safetensors", "model.safetensors"} <= there


def test_fine_tuned_model_is_published_without_its_pickles(hub, fine_tuned):
    report = push_model(fine_tuned, "alice/six", license="mit", progress=False)
    published = set(hub.paths("alice/six"))
    assert not {"training_args.bin", "optimizer.pt", "trainer_state.json"} & published
    assert report.pickles == ("optimizer.pt", "training_args.bin")
    assert "optimizer.pt, training_args.bin: can run code where loaded" in report.summary()
    assert "scores 6 classes" in ModelCard.load("alice/six").text


def test_every_configuration_that_a_card_names_is_published(hub, se30k8_release, tmp_path):
    built = tmp_path / "sets" / "se30k8"
    build_dataset(se30k8_release, built, progress=False)
    report = push_dataset(built, "alice/se30k8", license="mit", progress=False)
    published = set(hub.paths("alice/se30k8", "dataset"))
    texts = {f"text/{path.name}" for path in (built / "text").iterdir()}
    assert texts and texts <= published and not report.left_out
    card = DatasetCard(hub.read("alice/se30k8", "README.md", "dataset").decode())
    for configuration in card.data.to_dict()["configs"]:
        for entry in configuration["data_files"]:
            patterns = [entry["path"]] if isinstance(entry["path"], str) else entry["path"]
            for pattern in patterns:
                assert [name for name in published if fnmatch(name, pattern)], pattern
    # A later push of data without it takes it away.
    assert texts <= set(push_dataset(_pictures(tmp_path), "alice/se30k8", license="mit").removed)


def _pictures(folder):
    source = folder / "pictures"
    source.mkdir()
    for i in range(6):
        noise = np.random.default_rng(i).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((40, 30)).save(source / f"{i}.png")
    rows = [{"file_name": f"{i}.png", "keywords": ["joy", "tree"]} for i in range(6)]
    (source / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    build_dataset(source, folder / "words", progress=False)
    return folder / "words"
