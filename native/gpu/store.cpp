// SPDX-License-Identifier: Apache-2.0
#include "store.hpp"

#include <algorithm>

#include "live_bits.hpp"

namespace nearfield::gpu {
namespace {

// A hint of more rows than there are row numbers is none.
StoreOptions indexable(StoreOptions options) {
  if (options.capacity > kMaxRows) options.capacity = 0;
  return options;
}

}  // namespace

uint64_t slab_device_bytes(const SlabMap::Slab& slab, uint64_t beside_row, const StoreOptions& options) {
  const auto rows = static_cast<uint64_t>(slab.capacity);
  const CodeLayout codes{options.metric, options.dim, default_level_dims(options.dim),
                         slab.capacity / kGroupRows};
  return (options.drop_rows ? 0 : rows * static_cast<uint64_t>(padded_dim(options.dim)) * sizeof(float)) +
         rows * beside_row + rows / 32 * sizeof(uint32_t) +
         (options.coded ? static_cast<uint64_t>(codes.bytes()) : 0);
}

GpuStore::GpuStore(std::shared_ptr<Context> context, const StoreOptions& options)
    : context_(std::move(context)),
      options_(options),
      slabs_(indexable(options), slab_vector_bytes(*context_, options), &context_->memory,
             [beside_row = context_->bytes_beside_row(options), options](const SlabMap::Slab& slab) {
               return slab_device_bytes(slab, beside_row, options);
             }),
      basis_(options.coded ? identity_basis(options.dim) : nullptr) {}

GpuStore::~GpuStore() { context_->memory.used -= beyond_estimate_ + shadow_bytes_; }

Status GpuStore::allocate(const SlabMap::Slab& place, const char* what, SlabBuffers* out) {
  Queue& queue = context_->queue();
  const auto capacity = static_cast<uint64_t>(place.capacity);
  if (has_rows()) NF_TRY(queue.allocate(capacity * row_bytes(), Use::kStorage, what, &out->vectors));
  NF_TRY(queue.allocate(capacity / 32 * sizeof(uint32_t), Use::kStorage, what, &out->live));
  if (has_side()) NF_TRY(queue.allocate(capacity * sizeof(float), Use::kStorage, what, &out->side));
  if (has_residuals())
    NF_TRY(queue.allocate(capacity * sizeof(Tf32Values), Use::kStorage, what, &out->residuals));
  if (basis_ == nullptr) return {};
  out->basis = basis_;
  const CodeLayout codes{options_.metric, options_.dim, basis_->level_dims, place.capacity / kGroupRows};
  return queue.allocate(static_cast<uint64_t>(codes.bytes()), Use::kStorage, what, &out->codes);
}

class Recount {
 public:
  explicit Recount(GpuStore& store) : store_(store) {}
  ~Recount() { store_.recount(); }
  Recount(const Recount&) = delete;
  Recount& operator=(const Recount&) = delete;

 private:
  GpuStore& store_;
};

Status GpuStore::grow(int64_t count, const std::function<Status()>& fill, const std::vector<bool>* live,
                      const char* what) {
  const int64_t rows = rows_ + count;
  if (rows > kMaxRows)
    return error(NF_RESOURCE_EXHAUSTED, "%s: %lld rows, one index on a GPU holds at most %lld", what,
                 static_cast<long long>(rows), static_cast<long long>(kMaxRows));
  const Recount recount(*this);  // after a growth was taken back
  Growth growth(slabs_);
  {
    const Drain drain(context_->queue());  // slabs that are taken back are no longer written to
    NF_TRY(slabs_.grow(rows, what, [&](const SlabMap::Slab& place, SlabBuffers* out) {
      return allocate(place, what, out);
    }));
    NF_TRY(fill());
  }
  NF_TRY(context_->queue().take_error(what));
  // From the group of the first new row on.
  const int64_t first_group = rows_ / 32;
  std::vector<uint32_t> words(static_cast<size_t>(groups_of(rows) - first_group));
  if (rows_ % 32 != 0) words[0] = live_.back();
  for (int64_t i = 0; i < count; ++i)
    if (live == nullptr || (*live)[static_cast<size_t>(i)])
      words[static_cast<size_t>((rows_ + i) / 32 - first_group)] |= 1u << ((rows_ + i) % 32);
  // Doubles, for rows may come one by one.
  const auto needed = static_cast<size_t>(groups_of(rows));
  if (needed > live_.capacity()) live_.reserve(std::max(needed, 2 * live_.capacity()));
  NF_TRY(write_live(first_group, words, what));
  live_.resize(static_cast<size_t>(first_group));
  live_.insert(live_.end(), words.begin(), words.end());
  rows_ = rows;
  growth.keep();
  return {};
}

Status GpuStore::write_live(int64_t first_group, std::span<const uint32_t> words, const char* what) {
  const int64_t last_group = first_group + static_cast<int64_t>(words.size()) - 1;
  const std::vector<SlabMap::Slab>& places = slabs_.map().slabs();
  // The last slab first: when a growth fails half-way, the words of old slabs are still untouched.
  for (size_t i = places.size(); i-- > 0;) {
    const int64_t slab_first = places[i].first / 32;
    const int64_t slab_last = slab_first + places[i].capacity / 32 - 1;
    const int64_t from = std::max(first_group, slab_first), to = std::min(last_group, slab_last);
    if (from > to) continue;
    context_->queue().write(slabs_.all()[i].live, static_cast<uint64_t>(from - slab_first) * sizeof(uint32_t),
                            words.data() + (from - first_group),
                            static_cast<uint64_t>(to - from + 1) * sizeof(uint32_t));
    NF_TRY(context_->queue().take_error(what));
  }
  return {};
}

// So that adding them, once nothing else can fail, does not.
void GpuStore::reserve_errors(int64_t more) {
  const size_t needed = errors_.size() + static_cast<size_t>(more);
  if (!has_rows() && needed > errors_.capacity()) errors_.reserve(std::max(needed, 2 * errors_.capacity()));
}

Status GpuStore::append(const HostRows& from, const Call& call) {
  const int64_t first = rows_;
  const std::vector<bool> dead(from.live ? 0 : static_cast<size_t>(from.rows));
  std::vector<float> errors(has_rows() ? 0 : static_cast<size_t>(from.rows));
  reserve_errors(from.rows);
  const auto row_of = [&](int64_t i) { return first + i; };
  NF_TRY(grow(
      from.rows,
      [&] {
        return has_rows() ? upload(from, row_of, &call, "append")
                          : keep_codes(from, row_of, true, &call, "append", errors.data());
      },
      from.live ? nullptr : &dead, "append"));
  errors_.insert(errors_.end(), errors.begin(), errors.end());
  return {};
}

Status GpuStore::write(std::span<const int64_t> rows, const HostRows& from, const Call& call) {
  NF_TRY(call.poll());
  const Drain drain(context_->queue());
  // Not interrupted once begun: half of the rows overwritten would be neither the old state nor the new one.
  std::vector<float> errors(has_rows() ? 0 : rows.size());
  const auto row_of = [&](int64_t i) { return rows[static_cast<size_t>(i)]; };
  NF_TRY(has_rows() ? upload(from, row_of, nullptr, "replace")
                    : keep_codes(from, row_of, false, nullptr, "replace", errors.data()));
  context_->queue().drain();
  NF_TRY(context_->queue().take_error("replace"));
  for (size_t i = 0; i < errors.size(); ++i) errors_[static_cast<size_t>(rows[i])] = errors[i];
  return {};
}

Status GpuStore::append_from(Store& other, std::span<const int64_t> rows, const Call& call) {
  const auto& from = static_cast<const GpuStore&>(other);  // of the same device, by contract
  std::vector<bool> live(rows.size());
  for (size_t i = 0; i < rows.size(); ++i)
    live[i] = rows[i] != kNoRow && (from.live_[static_cast<size_t>(rows[i] / 32)] >> (rows[i] % 32) & 1) != 0;
  const auto count = static_cast<int64_t>(rows.size());
  reserve_errors(count);
  NF_TRY(grow(
      count,
      [&] {
        return has_rows() ? copy_from(from, rows, call, "compact") : copy_codes(from, rows, call, "compact");
      },
      &live, "compact"));
  if (!has_rows())
    for (const int64_t row : rows)
      errors_.push_back(row == kNoRow ? 0 : from.errors_[static_cast<size_t>(row)]);
  return {};
}

template <typename Change>
Status GpuStore::change_live(int64_t first_row, int64_t last_row, const Call& call, const Change& change) {
  NF_TRY(call.poll());
  NF_TRY(context_->queue().health());
  const int64_t first_group = first_row / 32;
  const std::span<uint32_t> words = std::span(live_).subspan(
      static_cast<size_t>(first_group), static_cast<size_t>(last_row / 32 - first_group + 1));
  const std::vector<uint32_t> before(words.begin(), words.end());
  change();
  Status status = write_live(first_group, words, "set_live");
  if (!status.ok()) {
    std::copy(before.begin(), before.end(), words.begin());
    static_cast<void>(write_live(first_group, words, "set_live"));
  }
  return status;
}

Status GpuStore::set_live(std::span<const int64_t> rows, bool live, const Call& call) {
  if (rows.empty()) return call.poll();
  const auto [low, high] = std::minmax_element(rows.begin(), rows.end());
  return change_live(*low, *high, call, [&] {
    for (const int64_t row : rows) {
      uint32_t& word = live_[static_cast<size_t>(row / 32)];
      const uint32_t bit = 1u << (row % 32);
      word = live ? word | bit : word & ~bit;
    }
  });
}

Status GpuStore::set_live_range(int64_t first, int64_t count, bool live, const Call& call) {
  return change_live(first, first + count - 1, call, [&] {
    for_each_word(first, count, [&](int64_t at, uint32_t bits) {
      uint32_t& word = live_[static_cast<size_t>(at)];
      word = live ? word | bits : word & ~bits;
    });
  });
}

}  // namespace nearfield::gpu
