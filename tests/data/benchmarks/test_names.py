import pytest

from emotionnet_hf.data.benchmarks import BENCHMARKS, BenchmarkError, load_benchmark


@pytest.mark.parametrize(
    ("names", "known"),
    [
        (["DeepEmotion", "deep-emotion", "DE", "FI"], "DeepEmotion"),
        (["UnBiasedEmotion", "unbiased emotion", "ube"], "UnBiasedEmotion"),
        (["AffectNet", "affectnet-7"], "AffectNet-7"),
        (["EMOTIC-B", "emotic_b", "EMTIC-B", "EMOTIC body"], "EMOTIC-B"),
        (["EMOTIC-I", "emtic i", "emotic-image"], "EMOTIC-I"),
        (["EmoSet", "emoset-118k"], "EmoSet-118K"),
        (["SE30K8", "se-30k8"], "SE30K8"),
    ],
)
def test_benchmark_is_found_by_any_of_its_names(tmp_path, names, known):
    assert known in BENCHMARKS
    for name in names:
        # Each reader names its benchmark when the folder is not there.
        with pytest.raises(FileNotFoundError, match=known):
            load_benchmark(name, tmp_path / "nowhere")


def test_unknown_name_lists_the_known_ones(tmp_path):
    with pytest.raises(BenchmarkError, match=r"'mnist'; there are DeepEmotion, UnBiasedEmotion"):
        load_benchmark("mnist", tmp_path)


def test_folder_may_be_a_text(tmp_path, emotic_parts):
    data = emotic_parts.pictures()
    emotic_parts.save_mat(tmp_path / "Annotations.mat", data)
    emotic_parts.draw_all(tmp_path, data)
    assert load_benchmark("emotic-b", str(tmp_path)).name == "EMOTIC-B"
