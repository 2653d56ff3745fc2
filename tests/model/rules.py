"""What a run takes for granted, and may be told otherwise."""

import dataclasses

# Deviations that a run can be told to pass over (--tolerate), so that it finds others.
TOLERABLE = {
    "early-barrier": "a row is right only after a second settle",
    "hidden-edits": "a rewrite that keeps size and mtime is not noticed",
    "hard-link-edits": "an edit by one name leaves the rows of the file's other names as they were",
    # With a row and an ignored name at once: configuration says "ignored" applies to directories
    # that have no row, a scan after a restart has none to go by. Not decided, so not done.
    "ignored-renames": "a directory with a row is renamed to an ignored name in the same tree",
}


@dataclasses.dataclass
class Rules:
    """What may change as the daemon learns more."""
    # Ids of files that are gone, at another file of the same content: never, may, must
    returns: str = "may"
    blind_directories: str = "may"   # ids of directories moved in a blind burst: may or must
    tolerate: frozenset = frozenset()  # names of known deviations that are not reported

    def tolerates(self, what):
        return what in self.tolerate
