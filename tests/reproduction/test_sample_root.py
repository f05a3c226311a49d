from emotionnet_hf.reproduction.data_root import DataRoot
from emotionnet_hf.reproduction.sample_root import draw_data_root


def test_everything_is_there_and_stays(tmp_path):
    folder = draw_data_root(tmp_path / "data", num_images=4, benchmark_images=60, progress=False)
    root = DataRoot(folder)
    for name in ("StockEmotion", "SE30K8", "DeepEmotion", "UnBiasedEmotion", "AffectNet", "EMOTIC"):
        assert any(root.find(name).iterdir())
    marked = root.find("StockEmotion") / "emotion_keywords.txt"
    marked.write_text("joy\n")
    draw_data_root(folder, num_images=9, benchmark_images=60, progress=False)
    assert marked.read_text() == "joy\n"
