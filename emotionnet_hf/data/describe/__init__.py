"""What is in a built data set: numbers, figures, and a page that shows both."""

from emotionnet_hf.data.describe.page import describe_dataset

__all__ = ["describe_dataset"]
