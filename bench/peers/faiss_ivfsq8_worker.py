# SPDX-License-Identifier: Apache-2.0
"""faiss's IndexIVFScalarQuantizer: lists of 8 bits a coordinate, of the residual to the list's centroid."""

from __future__ import annotations

import faiss

from faiss_refined import Refined
from list_worker import serve_lists


class IvfSq8(Refined):
    system = "faiss-ivfsq8"
    words = "IndexIVFScalarQuantizer QT_8bit"
    factors = (0, 2)

    def create(self, quantiser, dim: int, lists: int, kind: int):
        return faiss.IndexIVFScalarQuantizer(quantiser, dim, lists, faiss.ScalarQuantizer.QT_8bit, kind)


serve_lists(IvfSq8())
