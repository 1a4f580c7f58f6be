# SPDX-License-Identifier: Apache-2.0
"""faiss's IndexIVFRaBitQFastScan: lists of one bit a coordinate, scanned in registers, refined from f32 rows."""

from __future__ import annotations

import faiss

from faiss_refined import Refined
from list_worker import serve_lists


class IvfRaBitQ(Refined):
    system = "faiss-ivfrabitq"
    words = "IndexIVFRaBitQFastScan"
    factors = (4, 8, 16, 32, 64)

    def create(self, quantiser, dim: int, lists: int, kind: int):
        return faiss.IndexIVFRaBitQFastScan(quantiser, dim, lists, kind)


serve_lists(IvfRaBitQ())
