# SPDX-License-Identifier: Apache-2.0
"""faiss's IndexIVFFlat: lists of f32 rows."""

from __future__ import annotations

import faiss

from faiss_lists import FaissLists
from list_worker import serve_lists


class IvfFlat(FaissLists):
    system = "faiss-ivfflat"
    words = "IndexIVFFlat"

    def create(self, quantiser, dim: int, lists: int, kind: int):
        return faiss.IndexIVFFlat(quantiser, dim, lists, kind)


serve_lists(IvfFlat())
