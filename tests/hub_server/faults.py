"""What the server does wrong when a test wants it to."""

import threading
from dataclasses import dataclass, field


@dataclass
class Faults:
    """Faults, each done as often as its number says, or to whom its set names.

    Attributes:
        cut_uploads: Number of PUTs of which half is read before the connection drops, by the
            SHA-256 of the object (and `#n` for part n). `*` stands for every object.
        cut_downloads: Number of GETs of which half is sent before the connection drops, by the
            name of the file.
        held: SHA-256s whose PUT never gets an answer; `holding` is set when one has begun.
        released: Set when the server ends, so that held requests end too.
    """

    cut_uploads: dict[str, int] = field(default_factory=dict)
    cut_downloads: dict[str, int] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    holding: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def cuts(self, table, *names):
        """Whether to cut this one; counts down."""
        for name in names:
            if table.get(name, 0) > 0:
                table[name] -= 1
                return True
        return False

    def hold(self, name):
        if name in self.held:
            self.holding.set()
            self.released.wait(120)
