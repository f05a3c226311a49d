"""What `/api/validate-yaml` says of a card: strict about what our cards have."""

import re

from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard, DatasetCardData, ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results

LICENSES = {"apache-2.0", "mit", "cc-by-4.0", "cc-by-nc-4.0", "cc0-1.0", "other", "unknown"}
TASKS = {
    *("image-classification", "text-classification", "zero-shot-image-classification"),
    *("image-feature-extraction",),
}
SIZES = {"n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M"}
REPO_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def complaints(content, kind):
    """What is wrong with the metadata of a card; empty when nothing is."""
    try:
        card = (ModelCard if kind == "model" else DatasetCard)(content)
    except Exception as error:
        return [str(error)]
    data = card.data.to_dict()
    known = data.get("license", "unknown") in LICENSES
    wrong = [] if known else [f'"license" must be one of {LICENSES}']
    if not isinstance(data.get("language", "en"), str | list):
        wrong.append('"language" must be a code')
    if not all(isinstance(tag, str) for tag in data.get("tags", [])):
        wrong.append('"tags" must be texts')
    return wrong + (_model(data) if kind == "model" else _dataset(data))


def _model(data):
    wrong = []
    if data.get("pipeline_tag", "image-classification") not in TASKS:
        wrong.append(f'"pipeline_tag" must be one of {TASKS}')
    for name in data.get("datasets", []):
        if not REPO_ID.fullmatch(name):
            wrong.append(f'"datasets" has {name}, which is no repository')
    for example in data.get("widget", []):
        if not example.keys() & {"text", "src"}:
            wrong.append('"widget" has an example without text and src')
    if "model-index" in data:
        _, results = model_index_to_eval_results(data["model-index"])
        wrong += [
            f'"model-index" has {result.metric_value!r} for {result.metric_type}'
            for result in results
            if not isinstance(result.metric_value, float)
            or result.metric_value != result.metric_value
        ]
    return wrong


def _dataset(data):
    if not set(data.get("size_categories", [])) <= SIZES:
        return [f'"size_categories" must be among {SIZES}']
    if not set(data.get("task_categories", [])) <= TASKS:
        return [f'"task_categories" must be among {TASKS}']
    try:
        parsed = DatasetCardData(**data)
        MetadataConfigs.from_dataset_card_data(parsed)
        DatasetInfosDict.from_dataset_card_data(parsed)
    except Exception as error:
        return [f'"dataset_info" or "configs": {error}']
    return []
