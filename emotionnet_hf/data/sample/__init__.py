"""A sample of pictures and keywords drawn by a generative model whose truth is known.

It stands in for stock photographs and their uploaders in an offline quickstart. Nothing in it is
photographed or scraped. Every picture is drawn as follows; all draws are independent.

**Latents.** An emotion out of ten (`latent.EMOTIONS`, uniform, arranged as a ring of neighbours),
an intensity in [0, 1] (uniform), a category (face 0.4, scene 0.3, symbol 0.3).

**Picture.** The emotion is carried by shape alone or nearly so. A *face* moves from a neutral to
the emotion's mean expression (mouth, brows, eyes, tears, ...) in proportion to 0.55 + 0.6 *
intensity, plus individual variation. A *scene* draws its skyline around the emotion's jaggedness
and contains each of the emotion's elements (rain, fireworks, a couple, ...) with a probability
that grows with the intensity, beside distractors that occur in all. A *symbol* is one of the
emotion's icons, or, with probability 0.22 * (1 - intensity), an icon of a neighbouring emotion.
Nuisances: position, scale, rotation, mirroring, line width, hair, hats, glasses, clutter,
background, blur, grain, JPEG quality. The palette takes the hue of the cliche (blue for sadness)
with probability `latent.HUE_SHARE` and any hue otherwise, and its other dimensions ignore the
emotion. Neither a colour histogram nor any one pixel therefore tells the emotion.

**Clean emotion keywords.** 3 to 5 different words from p(word | emotion, intensity), proportional
to weight * exp(1.2 * grade * (2 * intensity - 1)) (`vocabulary.EMOTION_WORDS`): faint anger is
`frustrated`, strong anger `furious`; neighbours on the ring share words.

**The uploader** leaves out a share `missing` of the clean keywords, and errs at each emotion
keyword written with probability `noise`: an expected share `noise` of all *listed* emotion
keywords are words of other emotions that the picture's own cannot produce. To these come 3 to 5
context words (each with probability 0.5 from the emotion's own, such as `sunday` or `candy cane`,
else from a random emotion's), names of some of the things drawn, 2 or 3 words for the category and
3 to 5 fillers. The list is shuffled, and 6 % of the keywords get capitals or white space.

**Near copies.** With probability `near_duplicates` a picture is a cropped, brightened and
recompressed copy of an earlier one: same latents, same clean keywords, same `group`, another
uploader.

Example:
    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from emotionnet_hf.data.sample import generate_sample
    >>> out = Path(mkdtemp()) / "sample"
    >>> summary = generate_sample(out, num_images=4, image_size=32, progress=False)
    >>> sorted(path.name for path in out.iterdir())
    ['emotion_keywords.txt', 'images', 'metadata.jsonl', 'truth.jsonl']
"""

from emotionnet_hf.data.sample.generate import SampleSummary, generate_sample
from emotionnet_hf.data.sample.latent import EMOTIONS
from emotionnet_hf.data.sample.tags import keyword_distribution
from emotionnet_hf.data.sample.vocabulary import EMOTION_KEYWORDS

__all__ = [
    "EMOTIONS",
    "EMOTION_KEYWORDS",
    "SampleSummary",
    "generate_sample",
    "keyword_distribution",
]
