// SPDX-License-Identifier: Apache-2.0
// int8 codes of a store's rows, made on the device from the rows there: whole groups at a time, because
// neighbouring rows share the words of tails and side values. Coding a row again in the same basis gives the
// same bits, so that nobody sees it. docs/numerics-gpu.md derives the scales.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "store.hpp"

namespace nearfield::gpu {
namespace {

// Rows in the axes of their basis on the way to their codes: as many as fit the caches of a large GPU.
constexpr uint64_t kRotatedBytes = 8ull << 20;
// Rotations beyond it, of more than 4,096 dimensions, come in pieces.
constexpr uint64_t kAxesBytes = 64ull << 20;

// A factor for a square root and a division that are 2^-19 off, and some roundings of f32.
constexpr double kRoom = 1 + 0x1p-17;

float up(double value) { return static_cast<float>(value * (1 + 0x1p-23)); }
float down(double value) { return static_cast<float>(value * (1 - 0x1p-23)); }

CodingParams coding_params(const CodeLayout& layout, const Basis& basis, bool codes_stay) {
  constexpr double u = 0x1p-24;
  const auto dim = static_cast<double>(layout.dim), coded = static_cast<double>(layout.coded_dim());
  const double error_unit = nearfield::error_unit(layout.coded_dim());
  CodingParams p{};
  p.chunks = static_cast<uint32_t>(padded_dim(layout.dim) / kChunkFloats);
  p.groups = static_cast<uint32_t>(layout.groups);
  p.levels = static_cast<uint32_t>(layout.levels());
  p.level_chunks = static_cast<uint32_t>(layout.level_dims / kChunkFloats);
  p.has_mean = !basis.mean.empty();
  p.is_rotated = basis.is_rotated();
  p.norm_scale = down(1 / (nearfield::norm_unit(layout.coded_dim()) * (1 + 0x1p-20)));
  p.tail_scale = up(kTailUnits / static_cast<double>(nearfield::norm_unit(layout.coded_dim())) * kRoom);
  p.error_scale = up((1 + (coded / 2 + 4) * u) / error_unit * kRoom);
  p.x_scale = basis.rounding() > 0 ? up(basis.rounding() / error_unit * kRoom) : 0;
  // One unit to round up. Of elements below 2^-126, which may be flushed, each costs a row's coordinates
  // 2^-126 at most, before the rotation, in each of its products and in each of its sums: in units of s, at
  // least 2^-100, D 2^-24 a coordinate.
  p.error_room = up(2 + (basis.is_rotated() ? dim + 4 : 4) * std::sqrt(coded) * 0x1p-24 / error_unit);
  p.longest = 0x1p60f;
  p.length_room = up(std::sqrt(coded));
  p.codes_stay = codes_stay;
  return p;
}

}  // namespace

uint64_t slab_vector_bytes(const Context& context, const StoreOptions& options) {
  if (!options.coded) return context.slab_bytes();
  uint64_t most = 1;
  for (const int32_t level_dims : {8, 16, 32})
    most =
        std::max(most, static_cast<uint64_t>(CodeLayout{options.metric, options.dim, level_dims, 1}.bytes()));
  const uint64_t group = static_cast<uint64_t>(group_floats(options.dim)) * sizeof(float);
  return std::min(context.slab_bytes(), context.binding_limit() / most * group);
}

CodeLayout GpuStore::layout(int64_t slab, const Basis& basis) const {
  return {options_.metric, options_.dim, basis.level_dims,
          slabs_.map().slabs()[static_cast<size_t>(slab)].capacity / kGroupRows};
}

int64_t GpuStore::used_groups(int64_t slab) const {
  const SlabMap::Slab& place = slabs_.map().slabs()[static_cast<size_t>(slab)];
  return groups_of(std::clamp<int64_t>(rows_ - place.first, 0, place.capacity));
}

void GpuStore::recount() {
  uint64_t now = 0;
  for (size_t i = 0; i < slabs_.all().size() && basis_ != nullptr; ++i) {
    const CodeLayout planned{options_.metric, options_.dim, default_level_dims(options_.dim),
                             slabs_.map().slabs()[i].capacity / kGroupRows};
    now += slabs_.all()[i].codes.size() - static_cast<uint64_t>(planned.bytes());
  }
  const uint64_t shadow = shadow_.codes.size();
  context_->memory.used += now - beyond_estimate_ + shadow - shadow_bytes_;
  beyond_estimate_ = now;
  shadow_bytes_ = shadow;
}

uint64_t GpuStore::code_bytes() const {
  uint64_t sum = 0;
  for (const SlabBuffers& slab : slabs_.all()) sum += slab.codes.size();
  return sum;
}

void GpuStore::add_coding_sizes(int64_t groups, WorkSizes* sizes) const {
  if (basis_ == nullptr) return;
  const auto most = static_cast<uint64_t>(std::max<int64_t>(groups, 1));
  (*sizes)[kGroups] = most * sizeof(uint32_t);
  bool rotates = basis_->is_rotated();
  for (const SlabBuffers& slab : slabs_.all()) rotates = rotates || slab.basis->is_rotated();
  (*sizes)[kBasis] = basis_bytes(rotates);
  if (!rotates) return;
  const uint64_t share = std::min(context_->free_workspace() / 4, context_->binding_limit());
  const uint64_t group = row_bytes() * kGroupRows;
  (*sizes)[kRotated] = group * std::clamp<uint64_t>(std::min(kRotatedBytes, share) / group, 1, most);
}

uint64_t GpuStore::basis_bytes(bool is_rotated) const {
  if (!is_rotated) return row_bytes();
  const auto axes = static_cast<uint64_t>(round_up(options_.dim, kAxisBlock));
  const uint64_t share = std::min(context_->free_workspace() / 4, context_->binding_limit());
  const uint64_t fit = std::min(kAxesBytes, share) / row_bytes() / kAxisBlock * kAxisBlock;
  return row_bytes() * (1 + std::clamp<uint64_t>(fit, kAxisBlock, axes));
}

int64_t GpuStore::axes_at_once(int64_t axes) const {
  const auto held = static_cast<int64_t>(context_->work(kBasis).size() / row_bytes()) - 1;
  return std::min(axes, held / kAxisBlock * kAxisBlock);
}

// The mean and the axes [begin, end) to kBasis; nothing is gathered.
Status GpuStore::load_axes(const BasisPtr& basis, int64_t begin, int64_t end) {
  const bool is_whole = begin == 0 && end >= (basis->is_rotated() ? options_.dim : 0);
  if (is_whole && context_->loaded_basis() == basis) return {};
  const int64_t width = padded_dim(options_.dim);
  std::vector<float> rows(static_cast<size_t>(width * (1 + end - begin)), 0.0f);
  std::copy(basis->mean.begin(), basis->mean.end(), rows.begin());
  for (int64_t i = begin; i < std::min<int64_t>(end, options_.dim); ++i)
    std::copy_n(basis->axis(i), options_.dim, rows.begin() + (1 + i - begin) * width);
  context_->queue().write(context_->work(kBasis), 0, rows.data(), rows.size() * sizeof(float));
  context_->set_loaded_basis(is_whole ? basis : nullptr);
  return {};
}

Status GpuStore::code_groups(const PlainRows& rows, const Buffer& codes, const BasisPtr& basis,
                             std::span<const uint32_t> groups, bool codes_stay, const Call* call,
                             const char* what) {
  Queue& queue = context_->queue();
  const Buffer &list = context_->work(kGroups), &axes_buffer = context_->work(kBasis);
  const bool rotates = basis->is_rotated();
  const Buffer& rotated = context_->work(rotates ? kRotated : kUnused);
  const bool has_side = this->has_side() && !rows.are_queries;
  const Buffer& side = has_side ? *rows.side : context_->work(kUnused);
  const int32_t metric = rows.are_queries ? NF_L2SQ : options_.metric;
  const int64_t axes = rotates ? round_up(options_.dim, kAxisBlock) : 0;
  const int64_t piece = axes_at_once(axes);
  // Groups of a dispatch: of about the target duration, a unit being a chunk of a row and an axis.
  const double group_units = double{kGroupRows} * chunks() * static_cast<double>(std::max<int64_t>(axes, 4));
  auto most = static_cast<size_t>(std::clamp(context_->units_per_dispatch() / group_units, 1.0, 1e6));
  if (rotates) most = std::min<size_t>(most, rotated.size() / (row_bytes() * kGroupRows));
  const uint32_t block = context_->limits().lanes / static_cast<uint32_t>(kGroupRows);
  CodingParams p = coding_params(rows.layout, *basis, codes_stay);
  if (rows.are_queries && options_.metric == NF_DOT) p.has_mean = 0;
  queue.write(list, 0, groups.data(), groups.size_bytes());
  if (!rotates && !basis->mean.empty()) NF_TRY(load_axes(basis, 0, 0));
  for (size_t begin = 0; begin < groups.size(); begin += most) {
    if (call != nullptr) NF_TRY(call->poll());
    p.list_begin = static_cast<uint32_t>(begin);
    p.list_end = static_cast<uint32_t>(std::min(begin + most, groups.size()));
    const uint32_t blocks = (p.list_end - p.list_begin + block - 1) / block;
    for (int64_t axis = 0; axis < axes; axis += piece) {
      const int64_t end = std::min(axis + piece, axes);
      NF_TRY(load_axes(basis, axis, end));
      p.axis_begin = static_cast<uint32_t>(axis);
      p.axis_end = static_cast<uint32_t>(end);
      p.workgroups = blocks * static_cast<uint32_t>((end - axis) / kAxisBlock);
      NF_TRY(context_->dispatch(kRotate, {metric, 1, 1}, p, context_->grid(p.workgroups),
                                {rows.vectors, &side, &axes_buffer, &list, &rotated}));
      if (piece < axes) NF_TRY(queue.submit(0, what));
    }
    p.workgroups = blocks;
    NF_TRY(context_->dispatch(
        kCode, {metric, 1, 1}, p, context_->grid(blocks),
        {rows.vectors, &side, &axes_buffer, &list, &context_->work(rotates ? kRotated : kUnused), &codes}));
    NF_TRY(queue.submit(0, what));
  }
  return {};
}

void GpuStore::add_query_coding_sizes(int64_t groups, WorkSizes* sizes) const {
  add_coding_sizes(groups, sizes);
  int64_t bytes = 0;
  for (const SlabBuffers& slab : slabs_.all())
    bytes = std::max(bytes, CodeLayout{NF_L2SQ, options_.dim, slab.basis->level_dims, groups}.bytes());
  (*sizes)[kCoded] = static_cast<uint64_t>(bytes);
}

Status GpuStore::code_queries(const BasisPtr& basis, int64_t groups, const Call& call) {
  std::vector<uint32_t> list(static_cast<size_t>(groups));
  std::iota(list.begin(), list.end(), 0u);
  const CodeLayout layout{NF_L2SQ, options_.dim, basis->level_dims, groups};
  return code_groups({&context_->work(kTileQueries), nullptr, layout, true}, context_->work(kCoded), basis,
                     list, false, &call, call.operation());
}

Status GpuStore::for_moved_groups(
    const std::vector<Step>& steps,
    const std::function<Status(int64_t slab, std::vector<uint32_t>& groups)>& change) {
  std::vector<Place> places;
  for (const Step& step : steps)
    places.push_back({step.to_slab, step.move.to / static_cast<uint32_t>(kGroupRows)});
  const auto before = [](const Place& a, const Place& b) {
    return a.slab != b.slab ? a.slab < b.slab : a.group < b.group;
  };
  std::sort(places.begin(), places.end(), before);
  std::vector<uint32_t> groups;
  for (size_t begin = 0, end; begin < places.size(); begin = end) {
    const int64_t slab = places[begin].slab;
    groups.clear();
    for (end = begin; end < places.size() && places[end].slab == slab; ++end)
      if (groups.empty() || groups.back() != places[end].group) groups.push_back(places[end].group);
    NF_TRY(change(slab, groups));
  }
  return {};
}

Status GpuStore::code_moved(const std::vector<Step>& steps, const Call* call, const char* what) {
  if (basis_ == nullptr) return {};
  return for_moved_groups(steps, [&](int64_t slab, std::vector<uint32_t>& groups) -> Status {
    const auto rows = [&](const Basis& basis) {
      return PlainRows{&slabs_[slab].vectors, &slabs_[slab].side, layout(slab, basis)};
    };
    const BasisPtr& basis = slabs_[slab].basis;
    NF_TRY(code_groups(rows(*basis), slabs_[slab].codes, basis, groups, false, call, what));
    if (slab != shadow_.slab) return {};
    // What the shadow holds of these rows is stale now; the rest of it is still to come.
    std::erase_if(groups, [&](uint32_t group) { return group >= shadow_.next_group; });
    if (groups.empty()) return {};
    return code_groups(rows(*shadow_.basis), shadow_.codes, shadow_.basis, groups, false, call, what);
  });
}

void GpuStore::set_basis(BasisPtr basis) {
  if (basis_ == nullptr || basis == basis_) return;
  basis_ = std::move(basis);
  shadow_ = {};
  recount();
}

Status GpuStore::begin_shadow(int64_t slab, const char* what) {
  const auto bytes = static_cast<uint64_t>(layout(slab, *basis_).bytes());
  // Not of the index's own limit, which may be what its rows and codes take: one slab's codes, for a while.
  const MemoryBudget& device = context_->memory;
  if (device.limit != 0 && device.used + bytes > device.limit)
    return error(NF_RESOURCE_EXHAUSTED,
                 "%s: coding a slab anew needs %llu more bytes, the indexes of this device use %llu of their "
                 "memory limit of %llu bytes",
                 what, static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(device.used),
                 static_cast<unsigned long long>(device.limit));
  Shadow shadow;
  NF_TRY(context_->queue().allocate(bytes, Use::kStorage, what, &shadow.codes));
  shadow.slab = slab;
  shadow.basis = basis_;
  shadow_ = std::move(shadow);
  recount();
  return {};
}

Status GpuStore::recode(int64_t rows, int64_t* left, const Call& call) {
  *left = 0;
  if (basis_ == nullptr || !has_rows()) return {};
  NF_TRY(call.poll());
  const char* const what = call.operation();
  const auto slab_count = static_cast<int64_t>(slabs_.all().size());
  const Drain drain(context_->queue());
  std::vector<uint32_t> groups;
  for (int64_t slab = 0; slab < slab_count; ++slab) {
    if (slabs_[slab].basis == basis_) continue;
    const int64_t used = used_groups(slab);
    // An empty slab takes its turn when no other is under way.
    if (rows > 0 || (used == 0 && shadow_.slab < 0)) {
      if (shadow_.slab != slab) NF_TRY(begin_shadow(slab, what));
      const int64_t end = std::min(used, shadow_.next_group + groups_of(std::max<int64_t>(rows, 0)));
      groups.clear();
      for (int64_t group = shadow_.next_group; group < end; ++group)
        groups.push_back(static_cast<uint32_t>(group));
      if (!groups.empty()) {
        WorkSizes sizes{};
        add_coding_sizes(static_cast<int64_t>(groups.size()), &sizes);
        NF_TRY(context_->reserve(sizes, what));
        NF_TRY(code_groups({&slabs_[slab].vectors, &slabs_[slab].side, layout(slab, *basis_)}, shadow_.codes,
                           shadow_.basis, groups, false, &call, what));
        context_->queue().drain();
        NF_TRY(context_->queue().take_error(what));
      }
      rows -= (end - shadow_.next_group) * kGroupRows;
      shadow_.next_group = end;
      if (end == used) {
        slabs_.at(slab).codes = std::move(shadow_.codes);
        slabs_.at(slab).basis = std::move(shadow_.basis);
        shadow_ = {};
        recount();
        continue;
      }
    }
    const int64_t first = slabs_.map().slabs()[static_cast<size_t>(slab)].first;
    const int64_t coded = shadow_.slab == slab ? shadow_.next_group * kGroupRows : 0;
    *left += std::min(used * kGroupRows, rows_ - first) - coded;
  }
  return {};
}

}  // namespace nearfield::gpu
