# SPDX-License-Identifier: Apache-2.0
"""As much of torch as bench/peers/torch_worker.py calls, over numpy: the worker's own arithmetic and protocol are what is tested."""

import types

import numpy as np

__version__ = "0 (stand-in)"
float32, bfloat16 = np.float32, np.float16


class Tensor:
    def __init__(self, values):
        self.values_ = np.asarray(values)

    def __getitem__(self, at):
        return Tensor(self.values_[at])

    def __len__(self):
        return len(self.values_)

    def __mul__(self, other):
        return Tensor(self.values_ * getattr(other, "values_", other))

    def __matmul__(self, other):
        return Tensor(self.values_ @ other.values_)

    @property
    def T(self):
        return Tensor(self.values_.T)

    def sum(self, dim, keepdim=False):
        return Tensor(self.values_.sum(axis=dim, keepdims=keepdim))

    def to(self, what, non_blocking=False):
        return self if isinstance(what, types.SimpleNamespace) else Tensor(self.values_.astype(what))

    def cpu(self):
        return self

    def numpy(self):
        return self.values_

    def numel(self):
        return self.values_.size

    def normal_(self):
        self.values_[...] = np.random.default_rng(1).standard_normal(self.values_.shape)
        return self

    def copy_(self, other):
        self.values_[...] = other.values_


def device(kind):
    return types.SimpleNamespace(type=kind)


def set_num_threads(_count):
    pass


def from_numpy(values):
    return Tensor(values)


def empty(*shape, dtype=np.float32, device=None):
    return Tensor(np.empty(shape, dtype))


def empty_like(other):
    return Tensor(np.empty_like(other.values_))


def matmul(a, b, out):
    np.matmul(a.values_, b.values_, out=out.values_)


def addmm(addend, a, b):
    return Tensor(addend.values_ + a.values_ @ b.values_)


def cdist(a, b, p):
    difference = np.abs(a.values_[:, None] - b.values_[None])
    return Tensor((difference**p).sum(axis=2) ** (1 / p))


def topk(values, k, dim, largest):
    assert dim == 1 and not largest
    rows = np.argsort(values.values_, axis=1, kind="stable")[:, :k]
    return types.SimpleNamespace(values=Tensor(np.take_along_axis(values.values_, rows, axis=1)), indices=Tensor(rows))


def cat(parts):
    return Tensor(np.concatenate([part.values_ for part in parts]))


cuda = types.SimpleNamespace(is_available=lambda: False)
backends = types.SimpleNamespace(cuda=types.SimpleNamespace(matmul=types.SimpleNamespace(allow_tf32=True)),
                                 mps=types.SimpleNamespace(is_available=lambda: False))  # fmt: skip
