// SPDX-License-Identifier: Apache-2.0
#include "index.hpp"

#include <algorithm>
#include <iterator>
#include <new>
#include <numeric>
#include <span>
#include <vector>

#include "metric.hpp"

namespace nearfield {
namespace {

constexpr int64_t kCheckedRows = 4096;  // 32 KiB of squared norms

// Checks vectors in blocks and leaves what the store keeps beside each row.
Status check_and_derive(const Call& call, const VectorRules& rules, const StoreOptions& options,
                        const MatrixView& data, const char* noun, int64_t first, std::vector<float>* side) {
  side->resize(static_cast<size_t>(data.rows));
  for (int64_t begin = 0; begin < data.rows; begin += kCheckedRows) {
    const int64_t count = std::min(kCheckedRows, data.rows - begin);
    NF_TRY(derive_sides(call, rules, data.slice(begin, count), noun, first + begin, side->data() + begin,
                        options.drop_rows));
    call.progress(kPhaseCheck, begin + count, data.rows);
  }
  return {};
}

template <typename T>
std::span<const T> span_of(const T* data, int64_t count) {
  return {data, static_cast<size_t>(count)};
}

// A change of the index has succeeded; a compaction that cannot follow it is dropped and begins anew with
// the next step.
template <typename Follow>
void follow_or_drop(std::unique_ptr<Compaction>* compaction, const Follow& follow) {
  if (*compaction == nullptr) return;
  try {
    if (follow(**compaction)) return;
  } catch (const std::bad_alloc&) {  // the change itself stands
  }
  compaction->reset();
}

}  // namespace

template <typename Follow>
void Index::for_each_build(const Follow& follow) {
  const auto follows = [&](ListBuild* build) {
    try {
      return build == nullptr || follow(*build);
    } catch (const std::bad_alloc&) {  // the change itself stands
      return false;
    }
  };
  if (!follows(list_compaction_.get())) list_compaction_.reset();
  if (list_maintenance_ != nullptr && !follows(list_maintenance_->build())) list_maintenance_.reset();
  if (list_training_ != nullptr && !follows(list_training_->build())) list_training_->renumber();
}

Status derive_sides(const Call& call, const VectorRules& rules, const MatrixView& data, const char* noun,
                    int64_t first, float* side, bool coded_alone) {
  std::vector<double> squared(static_cast<size_t>(std::min(kCheckedRows, data.rows)));
  for (int64_t begin = 0; begin < data.rows; begin += kCheckedRows) {
    const int64_t count = std::min(kCheckedRows, data.rows - begin);
    NF_TRY(check_vectors(call, noun, first + begin, rules, data.slice(begin, count), squared.data()));
    for (int64_t i = 0; i < count; ++i) {
      const double of_row = squared[static_cast<size_t>(i)];
      if (coded_alone) NF_TRY(check_coded_norm(call, noun, first + begin + i, rules.metric, of_row));
      side[begin + i] = row_side(rules.metric, of_row);
    }
  }
  return {};
}

Status Index::create(const Call& call, Context& context, const StoreOptions& options,
                     const VectorRules& rules, const ListOptions& lists, std::unique_ptr<Index>* out) {
  const uint64_t needed = context.device().estimate(options);
  if (options.memory_limit != 0) {
    if (needed > options.memory_limit)
      return error(NF_RESOURCE_EXHAUSTED,
                   "%s: capacity=%lld rows need %llu bytes, memory_limit is %llu bytes", call.operation(),
                   static_cast<long long>(options.capacity), static_cast<unsigned long long>(needed),
                   static_cast<unsigned long long>(options.memory_limit));
  }
  std::unique_ptr<Index> index(new Index(options, rules, lists));
  // The capacity is a hint: one that the device can never hold must not make it prepare for so many slabs.
  constexpr uint64_t kLargestMemory = uint64_t{1} << 40;  // where the device cannot say: more than any has
  StoreOptions usable = options;
  if (needed > (context.memory_bytes() != 0 ? context.memory_bytes() : kLargestMemory)) usable.capacity = 0;
  NF_TRY(context.device().create_store(usable, &index->store_, call));
  *out = std::move(index);
  return {};
}

nf_index_info Index::info(const Context& context) const {
  nf_index_info info{};
  info.struct_size = sizeof(info);
  info.rows = live_.rows();
  info.live_rows = live_.live();
  info.capacity = std::max(options_.capacity, live_.rows());
  info.device_bytes = store_->device_bytes() + (compaction_ != nullptr ? compaction_->device_bytes() : 0);
  if (list_compaction_ != nullptr) info.device_bytes += list_compaction_->device_bytes();
  if (list_training_ != nullptr) info.device_bytes += list_training_->device_bytes();
  if (list_maintenance_ != nullptr) info.device_bytes += list_maintenance_->device_bytes();
  if (listed_ != nullptr) {
    info.device_bytes += listed_->coarse->device_bytes();
    info.trained = 1;
    info.lists = listed_->lists.count();
    info.drift = listed_->drift.value(live_.rows());
    info.smallest_list = info.largest_list = listed_->lists.rows_of(0);
    for (int32_t list = 1; list < listed_->lists.count(); ++list) {
      info.smallest_list = std::min(info.smallest_list, listed_->lists.rows_of(list));
      info.largest_list = std::max(info.largest_list, listed_->lists.rows_of(list));
    }
  }
  info.workspace_bytes = store_->workspace_bytes() + context.workspace_bytes();
  if (!options_.coded) return info;
  info.code_bytes = store_->code_bytes() + (compaction_ != nullptr ? compaction_->code_bytes() : 0);
  info.scanned_bytes = scanned_.read;
  info.whole_bytes = scanned_.whole;
  info.searched = searched_;
  info.certified = certified_;
  if (!list_options_.has_lists) info.trained = trained_ ? 1 : 0;
  info.loosening = loosening_.value();
  if (const BasisPtr basis = store_->basis()) {
    info.rotated = basis->is_rotated() ? 1 : 0;
    info.level_dims = basis->level_dims;
  }
  return info;
}

Status Index::add(const Call& call, const MatrixView& data, bool live, const char* noun, int64_t first) {
  if (data.rows > kMaxRows - rows())
    return error(NF_INVALID_ARGUMENT, "%s: %lld rows and %lld more exceed %lld", call.operation(),
                 static_cast<long long>(rows()), static_cast<long long>(data.rows),
                 static_cast<long long>(kMaxRows));
  if (data.rows == 0) return {};
  std::vector<float> side;
  NF_TRY(check_and_derive(call, rules_, options_, data, noun, first, &side));
  return append(call, {data.data, data.rows, data.stride, side.data(), live});
}

Status Index::append(const Call& call, const HostRows& from) {
  live_.reserve(from.rows);
  call.progress(kPhaseCopy, 0, from.rows);
  NF_TRY(listed_ != nullptr ? append_listed(call, from) : store_->append(from, call));
  live_.append(from.rows, from.live);
  try {
    if (options_.coded) loosening_.note(*store_->basis(), metric(), from);
  } catch (const std::bad_alloc&) {  // the add stands
  }
  call.progress(kPhaseCopy, from.rows, from.rows);
  return {};
}

Status Index::replace(const Call& call, const int64_t* numbers, const MatrixView& data) {
  NF_TRY(check_row_numbers(call, numbers, data.rows, rows()));
  NF_TRY(check_unique(call, numbers, data.rows));
  if (data.rows == 0) return {};
  std::vector<float> side;
  NF_TRY(check_and_derive(call, rules_, options_, data, "row", 0, &side));
  const auto replaced = span_of(numbers, data.rows);
  const HostRows from{data.data, data.rows, data.stride, side.data(), true};
  NF_TRY(listed_ != nullptr ? replace_listed(call, replaced, from) : store_->write(replaced, from, call));
  for_each_build([&](ListBuild& build) {
    build.follow_write(replaced);
    return true;
  });
  follow_or_drop(&compaction_, [&](Compaction& c) { return c.follow_write(call, replaced, from, dim()); });
  return {};
}

Status Index::read(const Call& call, const int64_t* numbers, const MatrixView& out) {
  NF_TRY(check_row_numbers(call, numbers, out.rows, rows()));
  if (out.rows == 0) return {};
  std::vector<int64_t> scratch;
  return store_->read(places(span_of(numbers, out.rows), &scratch), out.data, out.stride, call);
}

Status Index::set_live(const Call& call, const int64_t* numbers, int64_t count, bool live) {
  NF_TRY(check_row_numbers(call, numbers, count, rows()));
  std::vector<int64_t> changed;
  std::copy_if(numbers, numbers + count, std::back_inserter(changed),
               [&](int64_t row) { return live_.is_live(row) != live; });
  if (!std::is_sorted(changed.begin(), changed.end())) std::sort(changed.begin(), changed.end());
  changed.erase(std::unique(changed.begin(), changed.end()), changed.end());
  if (changed.empty()) return {};
  std::vector<int64_t> scratch;
  NF_TRY(store_->set_live(places(changed, &scratch), live, call));
  for (const int64_t row : changed) live_.set(row, live);
  for_each_build([&](ListBuild& build) { return build.follow_live(call, changed, live); });
  follow_or_drop(&compaction_, [&](Compaction& c) { return c.follow_live(call, changed, live); });
  return {};
}

Status Index::set_live_range(const Call& call, int64_t first, int64_t count, bool live) {
  if (first < 0 || first > rows() || count > rows() - first)
    return error(NF_INVALID_ARGUMENT, "%s: first=%lld and count=%lld, this index holds %lld rows",
                 call.operation(), static_cast<long long>(first), static_cast<long long>(count),
                 static_cast<long long>(rows()));
  if (live_.live_in(first, count) == (live ? count : 0)) return {};
  if (listed_ != nullptr || list_training_ != nullptr) {
    std::vector<int64_t> rows(static_cast<size_t>(count));
    std::iota(rows.begin(), rows.end(), first);
    return set_live(call, rows.data(), count, live);
  }
  NF_TRY(store_->set_live_range(first, count, live, call));
  live_.set_range(first, count, live);
  follow_or_drop(&compaction_, [&](Compaction& c) { return c.follow_live_range(call, first, count, live); });
  return {};
}

Status Index::begin_compaction(const Call& call, Context& context) {
  if (live_.live() == rows()) {
    compaction_ = std::make_unique<Compaction>(nullptr, rows());
    return {};
  }
  std::unique_ptr<Store> shadow;
  NF_TRY(new_store(call, context, live_.live(), "its compacted copy", &shadow));
  compaction_ = std::make_unique<Compaction>(std::move(shadow), rows());
  return {};
}

Status Index::compact(const Call& call, Context& context, nf_compact* request, nf_step* step) {
  if (request->new_row_count == 0 && rows() != 0)
    return error(NF_INVALID_ARGUMENT, "%s: new_row_count=0, it must be at least 1 for an index of %lld rows",
                 call.operation(), static_cast<long long>(rows()));
  // Where the caller has not seen this compaction's numbers so far, they must be given out again.
  if (compaction_ != nullptr && compaction_->cursor() != step->position) compaction_.reset();
  // Lists that have lost nothing stay as they are.
  const bool is_whole = live_.live() == rows() && list_compaction_ == nullptr;
  if (listed_ != nullptr && compaction_ == nullptr && !is_whole)
    return compact_lists(call, context, request, step);
  if (compaction_ == nullptr) NF_TRY(begin_compaction(call, context));

  // 4 MiB of vectors: about 1 ms on a host, so that a budget of 10 ms is kept.
  constexpr int64_t kBlockFloats = int64_t{1} << 20;
  const int64_t block = std::max<int64_t>(1, kBlockFloats / group_floats(dim())) * kGroupRows;
  const int64_t first = compaction_->cursor();
  const int64_t limit = first + std::min(rows() - first, request->new_row_count);
  const auto start = Call::Clock::now();
  while (compaction_->cursor() < limit) {
    const int64_t end = std::min(limit, (compaction_->cursor() / kGroupRows * kGroupRows) + block);
    Status status = call.poll();
    if (status.ok()) status = compaction_->advance(call, *store_, live_, end);
    if (!status.ok()) {
      compaction_.reset();
      return status;
    }
    call.progress(kPhaseCompact, end, rows());
    const std::chrono::nanoseconds spent = Call::Clock::now() - start;
    if (step->budget_ns != 0 && spent.count() >= step->budget_ns) break;
  }

  const int64_t passed = compaction_->cursor();
  for (int64_t row = first; row < passed; ++row) request->new_row[row - first] = compaction_->new_number(row);
  request->first_row = first;
  step->position = passed;
  step->done = passed == rows() ? 1 : 0;
  if (step->done == 0) return {};
  compaction_->finish(&store_, &live_);
  if (training_ != nullptr) training_->renumber();
  if (list_training_ != nullptr) list_training_->renumber();
  compaction_.reset();
  return {};
}

}  // namespace nearfield
