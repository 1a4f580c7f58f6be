// SPDX-License-Identifier: Apache-2.0
#include "store.hpp"

#include <algorithm>
#include <cstring>

#include "live_bits.hpp"

namespace nearfield::gpu {
namespace {

// Rows travel in pieces of this many bytes: large enough that a submission (0.1 ms) is small beside the copy,
// small enough that cancelling reacts.
constexpr uint64_t kStagingBytes = 4ull << 20;

}  // namespace

uint64_t slab_device_bytes(const SlabMap::Slab& slab, bool has_side, int32_t dim) {
  const auto rows = static_cast<uint64_t>(slab.capacity);
  return rows * static_cast<uint64_t>(padded_dim(dim)) * sizeof(float) +
         (has_side ? rows * sizeof(float) : 0) + rows / 32 * sizeof(uint32_t);
}

GpuStore::GpuStore(std::shared_ptr<Context> context, const StoreOptions& options)
    : context_(std::move(context)), options_(options), map_(options.dim, context_->slab_bytes()) {}

GpuStore::~GpuStore() { context_->store_bytes -= device_bytes_; }

int64_t GpuStore::staged_rows() const {
  // A read takes two buffers of rows, staging and read-back, and 12 bytes beside each row.
  const uint64_t row = 2 * row_bytes() + sizeof(Move) + sizeof(float);
  const uint64_t bytes = std::min(kStagingBytes, context_->binding_limit());
  return static_cast<int64_t>(
      std::max<uint64_t>(1, std::min(bytes / row_bytes(), context_->free_workspace() / row)));
}

Status GpuStore::add_slabs(int64_t rows, const char* what) {
  Queue& queue = context_->queue();
  if (rows > kMaxRows)
    return error(NF_RESOURCE_EXHAUSTED, "%s: %lld rows, one index on a GPU holds at most %lld", what,
                 static_cast<long long>(rows), static_cast<long long>(kMaxRows));
  const std::vector<SlabMap::Slab> added = map_.missing(rows);
  uint64_t bytes = 0;
  for (const SlabMap::Slab& slab : added) bytes += slab_device_bytes(slab, has_side(), options_.dim);
  const auto refuse = [&](uint64_t used, uint64_t limit, const char* whose) {
    return error(
        NF_RESOURCE_EXHAUSTED,
        "%s: %lld rows need %llu more bytes on the device, %llu of the %s's limit of %llu are in use", what,
        static_cast<long long>(rows), static_cast<unsigned long long>(bytes),
        static_cast<unsigned long long>(used), whose, static_cast<unsigned long long>(limit));
  };
  if (options_.memory_limit != 0 && device_bytes_ + bytes > options_.memory_limit)
    return refuse(device_bytes_, options_.memory_limit, "index");
  if (context_->memory_limit() != 0 && context_->store_bytes + bytes > context_->memory_limit())
    return refuse(context_->store_bytes, context_->memory_limit(), "context");
  std::vector<SlabBuffers> buffers(added.size());
  for (size_t i = 0; i < added.size(); ++i) {
    const auto capacity = static_cast<uint64_t>(added[i].capacity);
    NF_TRY(queue.allocate(capacity * row_bytes(), Use::kStorage, what, &buffers[i].vectors));
    NF_TRY(queue.allocate(capacity / 32 * sizeof(uint32_t), Use::kStorage, what, &buffers[i].live));
    if (has_side()) NF_TRY(queue.allocate(capacity * sizeof(float), Use::kStorage, what, &buffers[i].side));
  }
  // Whatever may throw comes before the first change: the map and the slabs must never disagree.
  SlabMap map = map_;
  for (const SlabMap::Slab& slab : added) map.push(slab);
  slabs_.reserve(slabs_.size() + added.size());
  for (SlabBuffers& made : buffers) slabs_.push_back(std::move(made));
  std::swap(map_, map);
  device_bytes_ += bytes;
  context_->store_bytes += bytes;
  return {};
}

Status GpuStore::grow(int64_t count, const std::function<Status()>& fill, const std::vector<bool>* live,
                      const char* what) {
  live_.reserve(static_cast<size_t>(groups_of(rows_ + count)));
  SlabMap map_before = map_;
  const size_t slabs_before = slabs_.size();
  const uint64_t bytes_before = device_bytes_;
  const int64_t rows_before = rows_;
  const uint32_t tail_before = live_.empty() ? 0 : live_.back();
  const size_t words_before = live_.size();
  const auto roll_back = [&]() noexcept {
    std::swap(map_, map_before);
    slabs_.resize(slabs_before);
    context_->store_bytes -= device_bytes_ - bytes_before;
    device_bytes_ = bytes_before;
    rows_ = rows_before;
    live_.resize(words_before);
    if (!live_.empty()) live_.back() = tail_before;
  };
  // The first slabs are made for the capacity the caller announced, so that estimate() was right about them;
  // a hint that does not fit is passed over.
  Status status;
  try {
    if (slabs_.empty() && options_.capacity > count) status = add_slabs(options_.capacity, what);
    if (!status.ok() || map_.capacity() < rows_ + count) status = add_slabs(rows_ + count, what);
    if (status.ok()) status = fill();
  } catch (...) {  // out of host memory
    context_->queue().discard();
    context_->queue().drain();
    roll_back();
    throw;
  }
  context_->queue().discard();
  context_->queue().drain();
  if (status.ok()) status = context_->queue().take_error(what);
  if (status.ok()) {
    rows_ += count;
    live_.resize(static_cast<size_t>(groups_of(rows_)));
    for (int64_t i = 0; i < count; ++i) {
      const int64_t row = rows_before + i;
      if (live == nullptr || (*live)[static_cast<size_t>(i)])
        live_[static_cast<size_t>(row / 32)] |= 1u << (row % 32);
    }
    status = write_live(rows_before / 32, groups_of(rows_) - 1, what);
  }
  if (!status.ok()) roll_back();
  return status;
}

Status GpuStore::write_live(int64_t first_group, int64_t last_group, const char* what) {
  // The last slab first: when a growth fails half-way, the words of old slabs are still untouched.
  for (size_t i = slabs_.size(); i-- > 0;) {
    const int64_t slab_first = map_.slabs()[i].first / 32;
    const int64_t slab_last = slab_first + map_.slabs()[i].capacity / 32 - 1;
    const int64_t from = std::max(first_group, slab_first), to = std::min(last_group, slab_last);
    if (from > to) continue;
    context_->queue().write(slabs_[i].live, static_cast<uint64_t>(from - slab_first) * sizeof(uint32_t),
                            live_.data() + from, static_cast<uint64_t>(to - from + 1) * sizeof(uint32_t));
    NF_TRY(context_->queue().take_error(what));
  }
  return {};
}

Status GpuStore::append(const HostRows& from, const Call& call) {
  const int64_t first = rows_;
  const std::vector<bool> dead(from.live ? 0 : static_cast<size_t>(from.rows));
  return grow(
      from.rows,
      [&] {
        return upload(
            from, [&](int64_t i) { return first + i; }, &call, "append");
      },
      from.live ? nullptr : &dead, "append");
}

Status GpuStore::write(std::span<const int64_t> rows, const HostRows& from, const Call& call) {
  NF_TRY(call.poll());
  const Drain drain(context_->queue());
  // Not interrupted once begun: half of the rows overwritten would be neither the old state nor the new one.
  NF_TRY(upload(
      from, [&](int64_t i) { return rows[static_cast<size_t>(i)]; }, nullptr, "replace"));
  context_->queue().drain();
  return context_->queue().take_error("replace");
}

Status GpuStore::upload(const HostRows& from, const std::function<int64_t(int64_t)>& row_of, const Call* call,
                        const char* what) {
  const int64_t most = std::min(staged_rows(), from.rows);
  WorkSizes sizes{};
  sizes[kStaging] = static_cast<uint64_t>(most) * row_bytes();
  sizes[kStagingSide] = static_cast<uint64_t>(most) * sizeof(float);
  sizes[kMoves] = static_cast<uint64_t>(most) * sizeof(Move);
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
      const SlabMap::Place place = map_.place(row_of(begin + i));
      steps.push_back({-1, place.slab, {static_cast<uint32_t>(i), static_cast<uint32_t>(place.row)}});
    }
    std::stable_sort(steps.begin(), steps.end(),
                     [](const Step& a, const Step& b) { return a.to_slab < b.to_slab; });
    NF_TRY(encode_moves(steps, nullptr));
    NF_TRY(context_->queue().submit(0, what));
  }
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
    const SlabBuffers* from = from_tile ? &source->slabs_[static_cast<size_t>(first.from_slab)] : nullptr;
    const SlabBuffers* to = to_tile ? &slabs_[static_cast<size_t>(first.to_slab)] : nullptr;
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

Status GpuStore::append_from(Store& other, std::span<const int64_t> rows, const Call& call) {
  auto& from = static_cast<GpuStore&>(other);  // of the same device, by contract
  const int64_t first = rows_;
  const auto count = static_cast<int64_t>(rows.size());
  std::vector<bool> live(rows.size());
  for (size_t i = 0; i < rows.size(); ++i)
    live[i] = (from.live_[static_cast<size_t>(rows[i] / 32)] >> (rows[i] % 32) & 1) != 0;
  const auto fill = [&]() -> Status {
    const int64_t most = std::min(staged_rows() * 4, count);
    WorkSizes sizes{};
    sizes[kMoves] = static_cast<uint64_t>(most) * sizeof(Move);
    NF_TRY(context_->reserve(sizes, "compact"));
    std::vector<Step> steps;
    for (int64_t begin = 0; begin < count; begin += most) {
      NF_TRY(call.poll());
      steps.clear();
      for (int64_t i = begin; i < std::min(begin + most, count); ++i) {
        const SlabMap::Place source = from.map_.place(rows[static_cast<size_t>(i)]);
        const SlabMap::Place target = map_.place(first + i);
        steps.push_back({source.slab,
                         target.slab,
                         {static_cast<uint32_t>(source.row), static_cast<uint32_t>(target.row)}});
      }
      std::stable_sort(steps.begin(), steps.end(), [](const Step& a, const Step& b) {
        return a.from_slab != b.from_slab ? a.from_slab < b.from_slab : a.to_slab < b.to_slab;
      });
      NF_TRY(encode_moves(steps, &from));
      NF_TRY(context_->queue().submit(0, "compact"));
    }
    return {};
  };
  return grow(count, fill, &live, "compact");
}

Status GpuStore::read(std::span<const int64_t> rows, float* out, int64_t stride, const Call& call) {
  const auto count = static_cast<int64_t>(rows.size());
  if (count == 0) return {};
  const Drain drain(context_->queue());
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
      const SlabMap::Place place = map_.place(rows[static_cast<size_t>(begin + i)]);
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

Status GpuStore::set_live(std::span<const int64_t> rows, bool live, const Call& call) {
  NF_TRY(call.poll());
  if (rows.empty()) return {};
  NF_TRY(context_->queue().health());
  const std::vector<uint32_t> before = live_;
  const auto [low, high] = std::minmax_element(rows.begin(), rows.end());
  for (const int64_t row : rows) {
    uint32_t& word = live_[static_cast<size_t>(row / 32)];
    const uint32_t bit = 1u << (row % 32);
    word = live ? word | bit : word & ~bit;
  }
  Status status = write_live(*low / 32, *high / 32, "set_live");
  if (!status.ok()) {
    live_ = before;
    static_cast<void>(write_live(*low / 32, *high / 32, "set_live"));
  }
  return status;
}

Status GpuStore::set_live_range(int64_t first, int64_t count, bool live, const Call& call) {
  NF_TRY(call.poll());
  NF_TRY(context_->queue().health());
  const int64_t low = first / 32, high = (first + count - 1) / 32;
  const std::vector<uint32_t> before(live_.begin() + low, live_.begin() + high + 1);
  for_each_word(first, count, [&](int64_t at, uint32_t bits) {
    uint32_t& word = live_[static_cast<size_t>(at)];
    word = live ? word | bits : word & ~bits;
  });
  Status status = write_live(low, high, "set_live");
  if (!status.ok()) {
    std::copy(before.begin(), before.end(), live_.begin() + low);
    static_cast<void>(write_live(low, high, "set_live"));
  }
  return status;
}

}  // namespace nearfield::gpu
