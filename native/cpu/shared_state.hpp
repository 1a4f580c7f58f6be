// SPDX-License-Identifier: Apache-2.0
// What a device and its stores share. Held by shared_ptr from each: the last one out joins the threads.
#pragma once

#include <cstdint>
#include <memory>

#include "code_kernels.hpp"
#include "kernels.hpp"
#include "pool.hpp"
#include "slab_storage.hpp"
#include "workspace.hpp"

namespace nearfield::cpu {

struct SharedState {
  const Kernels* kernels = nullptr;
  const CodeKernels* codes = nullptr;
  bool codes_always = false;  // of a coded store, however few its rows: a forced path
  bool query_major = false;   // queries with runs meet their groups alone, level by level: a forced path
  std::unique_ptr<Pool> pool;
  uint64_t slab_bytes = 0;
  MemoryBudget memory;
  uint64_t workspace_limit = 0;
  bool workspace_limit_given = false;  // by the caller: then queues that pass it are refused
  Workspace workspace;
};

}  // namespace nearfield::cpu
