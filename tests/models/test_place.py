import pytest

from emotionnet_hf.models.place import check_place


def test_folders_of_models_and_names_of_repositories_pass(tmp_path):
    (tmp_path / "config.json").touch()
    check_place(tmp_path)
    check_place("owner/name")  # not asked for
    check_place("name")


@pytest.mark.parametrize(
    "name", ["/no/where", "./nowhere", "../nowhere", "a/b/nowhere", "no where"]
)
def test_missing_folder(name):
    with pytest.raises(FileNotFoundError, match=f"There is no folder {name}. Give the folder of"):
        check_place(name)


def test_folder_without_a_model_and_a_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no config.json. A training run saves its model"):
        check_place(tmp_path)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(FileNotFoundError, match=r"safetensors is a file; give the folder"):
        check_place(tmp_path / "model.safetensors")
