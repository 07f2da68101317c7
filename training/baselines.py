"""The baseline that needs no model: the title of the training pair whose synopsis is most alike."""

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from titlegen.text import canonical

ROWS_AT_ONCE = 64  # against 100,000 training pairs a chunk of similarities stays under 100 MB


def nearest_titles(synopses: Sequence[str], known_synopses: Sequence[str], known_titles: Sequence[str]) -> list[str]:
    """Return, for each synopsis, the title of the nearest known one: cosine of TF-IDF over character bigrams.

    Characters and not words, because it needs no dictionary and names unknown to one count as well.
    """
    vectorizer = TfidfVectorizer(
        analyzer="char", ngram_range=(2, 2), sublinear_tf=True, dtype=np.float32, lowercase=False
    )
    known = vectorizer.fit_transform(map(canonical, known_synopses)).T.tocsr()
    wanted = vectorizer.transform(map(canonical, synopses))
    nearest: list[int] = []
    for start in range(0, len(synopses), ROWS_AT_ONCE):
        likeness = wanted[start : start + ROWS_AT_ONCE] @ known
        nearest += np.asarray(likeness.argmax(axis=1)).ravel().tolist()  # scipy answers with a matrix
    return [known_titles[i] for i in nearest]
