// SPDX-License-Identifier: Apache-2.0
#include "harness.hpp"

#include <dlfcn.h>

#include <cstdio>
#include <random>

namespace nearfield_test {

void Report::check(bool holds, const std::string& what, const std::string& details) {
  ++(holds ? passed : failed);
  if (!holds) std::printf("FAIL %s%s%s\n", what.c_str(), details.empty() ? "" : ": ", details.c_str());
}

const char* status_name(nf_status status) {
  switch (status) {
    case NF_OK:
      return "NF_OK";
    case NF_CANCELLED:
      return "NF_CANCELLED";
    case NF_INVALID_ARGUMENT:
      return "NF_INVALID_ARGUMENT";
    case NF_DEADLINE_EXCEEDED:
      return "NF_DEADLINE_EXCEEDED";
    case NF_RESOURCE_EXHAUSTED:
      return "NF_RESOURCE_EXHAUSTED";
    case NF_FAILED_PRECONDITION:
      return "NF_FAILED_PRECONDITION";
    case NF_UNIMPLEMENTED:
      return "NF_UNIMPLEMENTED";
    case NF_INTERNAL:
      return "NF_INTERNAL";
    case NF_UNAVAILABLE:
      return "NF_UNAVAILABLE";
    case NF_DEVICE_LOST:
      return "NF_DEVICE_LOST";
    default:
      return "no status of the ABI";
  }
}

const nf_api* load(const char* file, std::string* why) {
  void* const library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    *why = dlerror();
    return nullptr;
  }
  const auto get = reinterpret_cast<const nf_api* (*)(uint32_t)>(dlsym(library, "nf_get_api"));
  if (get == nullptr) {
    *why = dlerror();
    return nullptr;
  }
  const nf_api* const api = get(NF_ABI_MAJOR);
  if (api == nullptr) *why = "nf_get_api answers NULL for this major version";
  if (api != nullptr && (get(NF_ABI_MAJOR + 1) != nullptr || get(0) != nullptr)) {
    *why = "nf_get_api speaks major versions that do not exist";
    return nullptr;
  }
  if (api != nullptr && get(NF_ABI_MAJOR) != api) {
    *why = "nf_get_api answers another pointer the second time";
    return nullptr;
  }
  return api;
}

bool Bench::ok(nf_status status, const char* what, const Caller& caller) const {
  report->check(status == NF_OK, what,
                std::string(status_name(status)) + " " + (status == NF_OK ? "" : caller.error.message));
  return status == NF_OK;
}

ContextHandle Bench::context(const nf_context_desc& desc) const {
  Caller caller;
  nf_context* made = nullptr;
  ok(api->context_create(&desc, &made, &caller.call), "context_create", caller);
  return {made, ContextDeleter{api}};
}

IndexHandle Bench::index(nf_context* context, int32_t metric, int32_t dim) const {
  Caller caller;
  nf_index* made = nullptr;
  const nf_index_desc desc = flat(metric, dim);
  ok(api->index_create(context, &desc, &made, &caller.call), "index_create", caller);
  return {made, IndexDeleter{api}};
}

void Bench::add(nf_index* index, const std::vector<float>& rows, int32_t dim, uint32_t flags) const {
  Caller caller;
  const nf_matrix matrix = matrix_of(rows, dim);
  int64_t first = -1;
  ok(try_add(index, matrix, &first, &caller, flags), "add", caller);
}

nf_status Bench::try_add(nf_index* index, const nf_matrix& rows, int64_t* first, Caller* caller,
                         uint32_t flags) const {
  nf_add request = sized<nf_add>();
  request.flags = flags;
  request.rows = &rows;
  return api->index_add(index, &request, first, &caller->call);
}

void Bench::set_live(nf_index* index, const std::vector<int64_t>& rows, bool live) const {
  Caller caller;
  nf_live request = sized<nf_live>();
  request.live = live ? 1 : 0;
  request.rows = rows.data();
  request.count = static_cast<int64_t>(rows.size());
  ok(api->index_set_live(index, &request, &caller.call), "set_live", caller);
}

void Bench::set_live_range(nf_index* index, int64_t first, int64_t count, bool live) const {
  Caller caller;
  nf_live request = sized<nf_live>();
  request.live = live ? 1 : 0;
  request.first = first;
  request.count = count;
  ok(api->index_set_live(index, &request, &caller.call), "set_live of a range", caller);
}

nf_index_info Bench::info(nf_index* index) const {
  Caller caller;
  nf_index_info info = sized<nf_index_info>();
  ok(api->index_info(index, &info, &caller.call), "index_info", caller);
  return info;
}

nf_index_desc flat(int32_t metric, int32_t dim) {
  nf_index_desc desc = sized<nf_index_desc>();
  desc.kind = NF_FLAT;
  desc.metric = metric;
  desc.dim = dim;
  desc.store_dtype = NF_F32;
  desc.scan_dtype = NF_F32;
  return desc;
}

nf_matrix matrix_of(const std::vector<float>& rows, int64_t dim) {
  nf_matrix matrix = sized<nf_matrix>();
  matrix.dtype = NF_F32;
  matrix.data = const_cast<float*>(rows.data());  // inputs are only read
  matrix.rows = static_cast<int64_t>(rows.size()) / dim;
  matrix.cols = dim;
  matrix.row_stride = dim * static_cast<int64_t>(sizeof(float));
  return matrix;
}

std::vector<float> random_rows(uint64_t seed, int64_t rows, int64_t dim) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<float> value(-0.25f, 0.25f);  // 5 dimensions: inside the unit ball
  std::vector<float> made(static_cast<size_t>(rows * dim));
  for (float& x : made) x = value(random);
  return made;
}

}  // namespace nearfield_test
