// SPDX-License-Identifier: Apache-2.0
// Rows on their way: from the host into slabs, from slab to slab, and back.
#include <algorithm>
#include <cstring>

#include "store.hpp"

namespace nearfield::gpu {
namespace {

// Rows travel in pieces of this many bytes: large enough that a submission (0.1 ms) is small beside the copy,
// small enough that cancelling reacts.
constexpr uint64_t kStagingBytes = 4ull << 20;

}  // namespace

int64_t GpuStore::staged_rows() const {
  // A read takes two buffers of rows, staging and read-back, and 12 bytes beside each row.
  const uint64_t row = 2 * row_bytes() + sizeof(Move) + sizeof(float);
  const uint64_t bytes = std::min(kStagingBytes, context_->binding_limit());
  return static_cast<int64_t>(
      std::max<uint64_t>(1, std::min(bytes / row_bytes(), context_->free_workspace() / row)));
}

Status GpuStore::upload(const HostRows& from, const std::function<int64_t(int64_t)>& row_of, const Call* call,
                        const char* what) {
  const int64_t most = std::min(staged_rows(), from.rows);
  WorkSizes sizes{};
  sizes[kStaging] = static_cast<uint64_t>(most) * row_bytes();
  sizes[kStagingSide] = static_cast<uint64_t>(most) * sizeof(float);
  sizes[kMoves] = static_cast<uint64_t>(most) * sizeof(Move);
  add_coding_sizes(most, &sizes);
  add_residual_sizes(most, &sizes);
  NF_TRY(context_->reserve(sizes, what));
  const int64_t width = padded_dim(options_.dim);
  // Rows already padded with nothing between them are sent from where they are.
  const bool plain = options_.dim == width && from.stride == width;
  std::vector<float> padded(plain ? 0 : static_cast<size_t>(most * width), 0.0f);
  std::vector<Step> steps;
  for (int64_t begin = 0; begin < from.rows; begin += most) {
    if (call != nullptr) {
      NF_TRY(call->poll());
      call->progress(kPhaseCopy, begin, from.rows);
    }
    const int64_t count = std::min(most, from.rows - begin);
    const float* data = from.data + begin * from.stride;
    if (!plain) {
      for (int64_t i = 0; i < count; ++i)
        std::memcpy(padded.data() + i * width, data + i * from.stride,
                    static_cast<size_t>(options_.dim) * sizeof(float));
      data = padded.data();
    }
    Queue& queue = context_->queue();
    queue.write(context_->work(kStaging), 0, data, static_cast<uint64_t>(count) * row_bytes());
    if (has_side())
      queue.write(context_->work(kStagingSide), 0, from.side + begin,
                  static_cast<uint64_t>(count) * sizeof(float));
    steps.clear();
    for (int64_t i = 0; i < count; ++i) {
      const SlabMap::Place place = slabs_.place(row_of(begin + i));
      steps.push_back({-1, place.slab, {static_cast<uint32_t>(i), static_cast<uint32_t>(place.row)}});
    }
    std::stable_sort(steps.begin(), steps.end(),
                     [](const Step& a, const Step& b) { return a.to_slab < b.to_slab; });
    NF_TRY(encode_moves(steps, nullptr));
    NF_TRY(context_->queue().submit(0, what));
    NF_TRY(residuals_moved(steps, what));
    NF_TRY(code_moved(steps, call, what));
  }
  return {};
}

void GpuStore::add_copies(const GpuStore& from, std::span<const int64_t> rows, int64_t begin, int64_t end,
                          std::vector<Step>* steps) const {
  for (int64_t i = begin; i < end; ++i) {
    if (rows[static_cast<size_t>(i)] == kNoRow) continue;  // the place keeps what it has
    const SlabMap::Place source = from.slabs_.place(rows[static_cast<size_t>(i)]);
    const SlabMap::Place target = slabs_.place(rows_ + i);
    steps->push_back(
        {source.slab, target.slab, {static_cast<uint32_t>(source.row), static_cast<uint32_t>(target.row)}});
  }
}

Status GpuStore::copy_from(const GpuStore& from, std::span<const int64_t> rows, const Call& call,
                           const char* what) {
  const auto count = static_cast<int64_t>(rows.size());
  int64_t most = std::min(staged_rows() * 4, count);
  if (is_coded()) most = std::min(most, transferred_rows());
  WorkSizes sizes{};
  sizes[kMoves] = static_cast<uint64_t>(most) * sizeof(Move);
  if (is_coded()) add_transfer_sizes(most, &sizes);
  add_coding_sizes(most, &sizes);
  add_residual_sizes(most, &sizes);
  NF_TRY(context_->reserve(sizes, what));
  std::vector<Step> steps;
  for (int64_t begin = 0; begin < count; begin += most) {
    NF_TRY(call.poll());
    steps.clear();
    add_copies(from, rows, begin, std::min(begin + most, count), &steps);
    if (steps.empty()) continue;
    std::stable_sort(steps.begin(), steps.end(), [](const Step& a, const Step& b) {
      return a.from_slab != b.from_slab ? a.from_slab < b.from_slab : a.to_slab < b.to_slab;
    });
    NF_TRY(encode_moves(steps, &from));
    NF_TRY(context_->queue().submit(0, what));
    NF_TRY(residuals_moved(steps, what));
    if (!is_coded()) continue;
    const auto other = std::stable_partition(steps.begin(), steps.end(), [&](const Step& s) {
      return slabs_[s.to_slab].basis == from.slabs_[s.from_slab].basis && s.to_slab != shadow_.slab;
    });
    std::vector<Step> coded_anew(other, steps.end());
    steps.erase(other, steps.end());
    NF_TRY(transfer(&steps, &from, 0, true, what));
    // Last, since it defines whole groups.
    NF_TRY(code_moved(coded_anew, &call, what));
  }
  return {};
}

Status GpuStore::read(std::span<const int64_t> rows, float* out, int64_t stride, const Call& call) {
  const auto count = static_cast<int64_t>(rows.size());
  if (count == 0) return {};
  const Drain drain(context_->queue());
  if (!has_rows()) return read_codes(rows, out, stride, call);
  const int64_t most = std::min(staged_rows(), count);
  WorkSizes sizes{};
  sizes[kStaging] = sizes[kReadback] = static_cast<uint64_t>(most) * row_bytes();
  sizes[kMoves] = static_cast<uint64_t>(most) * sizeof(Move);
  NF_TRY(context_->reserve(sizes, "read"));
  const int64_t width = padded_dim(options_.dim);
  // `out` is filled at the end only: a call that fails leaves it untouched.
  std::vector<float> plain(static_cast<size_t>(count * width));
  std::vector<Step> steps;
  for (int64_t begin = 0; begin < count; begin += most) {
    NF_TRY(call.poll());
    const int64_t piece = std::min(most, count - begin);
    steps.clear();
    for (int64_t i = 0; i < piece; ++i) {
      const SlabMap::Place place = slabs_.place(rows[static_cast<size_t>(begin + i)]);
      steps.push_back({place.slab, -1, {static_cast<uint32_t>(place.row), static_cast<uint32_t>(i)}});
    }
    std::stable_sort(steps.begin(), steps.end(),
                     [](const Step& a, const Step& b) { return a.from_slab < b.from_slab; });
    NF_TRY(encode_moves(steps, this));
    const uint64_t bytes = static_cast<uint64_t>(piece) * row_bytes();
    context_->queue().copy(context_->work(kStaging), 0, context_->work(kReadback), 0, bytes);
    NF_TRY(context_->queue().submit(0, "read"));
    NF_TRY(context_->queue().read(context_->work(kReadback), bytes, plain.data() + begin * width, "read"));
  }
  for (int64_t i = 0; i < count; ++i)
    std::memcpy(out + i * stride, plain.data() + i * width,
                static_cast<size_t>(options_.dim) * sizeof(float));
  return {};
}

Status GpuStore::encode_moves(const std::vector<Step>& steps, const GpuStore* source) {
  std::vector<Move> moves(steps.size());
  for (size_t i = 0; i < steps.size(); ++i) moves[i] = steps[i].move;
  Queue& queue = context_->queue();
  queue.write(context_->work(kMoves), 0, moves.data(), moves.size() * sizeof(Move));
  const Buffer& unused = context_->work(kUnused);
  const bool side = has_side();
  uint32_t dispatches = 0;
  for (size_t begin = 0, end; begin < steps.size(); begin = end) {
    const Step& first = steps[begin];
    for (end = begin; end < steps.size() && steps[end].from_slab == first.from_slab &&
                      steps[end].to_slab == first.to_slab;)
      ++end;
    const bool from_tile = first.from_slab >= 0, to_tile = first.to_slab >= 0;
    const SlabBuffers* from = from_tile ? &source->slabs_[first.from_slab] : nullptr;
    const SlabBuffers* to = to_tile ? &slabs_[first.to_slab] : nullptr;
    MoveParams params{};
    params.chunks = chunks();
    params.count = static_cast<uint32_t>(end - begin);
    params.from_tile = from_tile;
    params.to_tile = to_tile;
    params.has_side = side && to_tile;
    params.move_begin = static_cast<uint32_t>(begin);
    const uint64_t lanes = context_->limits().lanes;
    const Grid grid = context_->grid((static_cast<uint64_t>(params.count) * chunks() + lanes - 1) / lanes);
    if (dispatches == context_->limits().dispatches) {
      NF_TRY(queue.submit(0, "move"));
      dispatches = 0;
    }
    ++dispatches;
    const Buffer* from_side = !params.has_side ? &unused
                              : from_tile      ? &from->side
                                               : &context_->work(kStagingSide);
    NF_TRY(
        context_->dispatch(kMove, {}, params, grid,
                           {&context_->work(kMoves), from_tile ? &from->vectors : &context_->work(kStaging),
                            to_tile ? &to->vectors : &context_->work(kStaging), from_side,
                            params.has_side ? &to->side : &context_->work(kUnusedWrite)}));
  }
  return {};
}

}  // namespace nearfield::gpu
