"""A small Hugging Face Hub on the loopback address, for tests with the real client.

No kept package is such a server (hf-local-hub on PyPI has the client only; its server is a program
in Go that the wheel lacks). This one speaks what `huggingface_hub`, `transformers` and `datasets`
ask for when they push and pull: repositories, branches and pull requests, pre-upload, LFS in one or
many parts, commits, trees, files with ETag and range, private and gated repositories, and the
validation of cards. Errors have the status and the `X-Error-Code` of the real Hub.
"""

from tests.hub_server.faults import Faults
from tests.hub_server.server import HubServer
from tests.hub_server.storage import Repository, Storage

__all__ = ["Faults", "HubServer", "Repository", "Storage"]
