import pytest

from emotionnet_hf.reproduction.data_root import DataRoot, MissingDataError


def test_folders_are_found_whatever_their_case(tmp_path):
    (tmp_path / "emotic").mkdir()
    (tmp_path / "SE30K8").mkdir()
    root = DataRoot(tmp_path)
    assert root.find("EMOTIC-B") == root.find("EMOTIC-I") == tmp_path / "emotic"
    assert root.find("SE30K8") == tmp_path / "SE30K8"


def test_what_is_missing_says_how_to_get_it(tmp_path):
    (tmp_path / "AffectNet").touch()  # a file is no data set
    for name in ("AffectNet", "DeepEmotion", "UnBiasedEmotion", "StockEmotion"):
        with pytest.raises(MissingDataError, match=f"{name} is missing: .*{tmp_path}/{name}"):
            DataRoot(tmp_path).find(name)
    with pytest.raises(MissingDataError, match="EMOTIC is missing: ask its authors"):
        DataRoot(tmp_path / "nowhere").find("EMOTIC-I")


def test_word_vectors_and_trained_models_are_optional(tmp_path):
    root = DataRoot(tmp_path)
    assert root.word_vectors is None and root.trained("EmotionNet", 0) is None
    (tmp_path / "word_vectors.kv").touch()
    model = tmp_path / "models" / "EmotionNet" / "model-0"
    model.mkdir(parents=True)
    assert root.trained("EmotionNet", 0) is None  # an empty folder is no model
    (model / "config.json").touch()
    assert root.word_vectors == tmp_path / "word_vectors.kv"
    assert root.trained("EmotionNet", 0) == model and root.trained("EmotionNet", 1) is None
