"""What a loading script of `datasets` needs; these files travel.

`dataset_scripts/` links to them, and there they run without this package. So they import the
standard library, `datasets` and what comes with it, Pillow, imagehash and each other
(`from .images import open_image`), and nothing else.
"""
