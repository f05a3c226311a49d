"""Fetching the pictures of a URL list: fast, polite, safe, and stopped and resumed at will.

`url_list` reads what is wanted, `worklist` holds it on disk, `hosts` says who may be asked when,
`download` asks once, `addresses` keeps private networks out, `storing` checks and writes,
`journal` remembers, `fetching` is the whole.
"""

from emotionnet_hf.data.fetch.fetching import FetchReport, fetch_images
from emotionnet_hf.data.fetch.settings import FetchError
from emotionnet_hf.data.fetch.url_list import UrlListError, UrlListNotFoundError, read_url_list

__all__ = [
    "FetchError",
    "FetchReport",
    "UrlListError",
    "UrlListNotFoundError",
    "fetch_images",
    "read_url_list",
]
