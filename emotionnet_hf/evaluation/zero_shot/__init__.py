"""Zero-shot recognition: classes as keywords, scored by cosine, without training on a benchmark.

Wei et al., "Learning Visual Emotion Representations from Web Data" (CVPR 2020), section 5.4 and
Table 6. The paper represents each category of EMOTIC by the keywords of its description in the
space of the text model of eight emotions, and takes the image there by the distillation model; the
published code has further variants. Here all of them work on every labelled benchmark.
"""

from emotionnet_hf.evaluation.zero_shot.arguments import ZeroShotArguments, ZeroShotError
from emotionnet_hf.evaluation.zero_shot.category_keywords import CategoryError
from emotionnet_hf.evaluation.zero_shot.report import ZeroShotReport
from emotionnet_hf.evaluation.zero_shot.running import evaluate_zero_shot

__all__ = [
    "CategoryError",
    "ZeroShotArguments",
    "ZeroShotError",
    "ZeroShotReport",
    "evaluate_zero_shot",
]
