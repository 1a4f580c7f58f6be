# SPDX-License-Identifier: Apache-2.0
"""faiss.Kmeans with use_super_kmeans: rows are compared with far centroids in part of the dimensions only."""

from __future__ import annotations

from faiss_kmeans_worker import FaissKMeans
from list_worker import serve_kmeans


class FaissSuperKMeans(FaissKMeans):
    system = "faiss-superkmeans"
    metrics = ("l2",)
    words = "Kmeans with use_super_kmeans"
    settings = {"use_super_kmeans": True}


serve_kmeans(FaissSuperKMeans())
