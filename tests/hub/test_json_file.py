import pytest

from emotionnet_hf.hub.json_file import read_json


def test_object_is_read(tmp_path):
    (tmp_path / "a.json").write_text('{"a": [1]}')
    assert read_json(tmp_path / "a.json", ValueError) == {"a": [1]}


@pytest.mark.parametrize("content", [b"", b'{"a": [1', b"[1]", b"7", b'{"a": "\xff"}'])
def test_damaged_file_is_named_with_the_remedy(tmp_path, content):
    class Damaged(ValueError):
        pass

    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(Damaged, match=r"a\.json .*copy"):
        read_json(tmp_path / "a.json", Damaged)
