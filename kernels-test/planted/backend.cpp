// SPDX-License-Identifier: Apache-2.0
// The plainest backend: one thread, one row at a time, the canonical final form of docs/numerics.md. Correct
// by default; nf_context_desc.force_path plants one fault, which the suite must find.
#include "backend.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "code_layout.hpp"
#include "metric.hpp"
#include "slabs.hpp"

namespace nearfield {
namespace {

enum class Fault {
  kNone,
  kTieOrder,        // equal ranks: the higher row first
  kLostCandidate,   // one row in 97 is never looked at
  kDimension,       // the last dimension is left out
  kLiveBit,         // dead rows are returned
  kMaskWord,        // the mask is ignored in the last group of rows
  kMaskQuery,       // every query of a batch uses the mask of the first
  kSlabEdge,        // the first row of every slab but the first is never looked at
  kLargeK,          // nothing is returned past 128 hits
  kBatchOrder,      // batches of more than one query add in another order
  kScoreForm,       // score() adds in another order than search()
  kStaleReplace,    // the last row of a replace keeps its old vector
  kOutputOverrun,   // read() writes one float past the dimension where the stride has room
  kHiddenShown,     // rows that are added hidden are live
  kLiveRange,       // set_live of a range leaves the rows out that begin within a word
  kTornAdd,         // an add over the memory limit leaves its first row behind
  kCompactOrder,    // compaction reverses the rows of a block
  kNearestUnsorted  // the best two hits are swapped
};

struct Path {
  const char* name;
  Fault fault;
};

constexpr Path kPaths[] = {{"none", Fault::kNone},
                           {"tie-order", Fault::kTieOrder},
                           {"lost-candidate", Fault::kLostCandidate},
                           {"dimension", Fault::kDimension},
                           {"live-bit", Fault::kLiveBit},
                           {"mask-word", Fault::kMaskWord},
                           {"mask-query", Fault::kMaskQuery},
                           {"slab-edge", Fault::kSlabEdge},
                           {"large-k", Fault::kLargeK},
                           {"batch-order", Fault::kBatchOrder},
                           {"score-form", Fault::kScoreForm},
                           {"stale-replace", Fault::kStaleReplace},
                           {"output-overrun", Fault::kOutputOverrun},
                           {"hidden-shown", Fault::kHiddenShown},
                           {"live-range", Fault::kLiveRange},
                           {"torn-add", Fault::kTornAdd},
                           {"compact-order", Fault::kCompactOrder},
                           {"unsorted", Fault::kNearestUnsorted}};

// As other backends of modest size: 16 MiB.
constexpr uint64_t kSlabBytes = uint64_t{16} << 20;

constexpr int64_t kShadowRows = 1024;

// Four partial sums by (dimension mod 4), or one chain where a fault wants other roundings.
float rank_of(int32_t metric, const float* q, const float* v, int64_t dim, float side, bool one_chain) {
  float sums[4] = {};
  for (int64_t i = 0; i < dim; ++i) {
    float& s = sums[one_chain ? 0 : i % 4];
    switch (metric) {
      case NF_DOT:
        s = std::fma(q[i], v[i], s);
        break;
      case NF_MANHATTAN:
        s += std::fabs(q[i] - v[i]);
        break;
      default: {
        const float row = metric == NF_COSINE ? v[i] * side : v[i];
        const float d = q[i] - row;
        s = std::fma(d, d, s);
      }
    }
  }
  const float sum = (sums[0] + sums[2]) + (sums[1] + sums[3]);
  switch (metric) {
    case NF_COSINE:
      return 0.5f * sum;
    case NF_DOT:
      return -sum + 0.0f;
    case NF_POINCARE:
      return sum * side;
    default:
      return sum;
  }
}

class PlantedStore final : public Store {
 public:
  PlantedStore(const StoreOptions& options, const DeviceOptions& device, Fault fault)
      : options_(options), fault_(fault), slabs_(options.dim, slab_size(device)) {
    if (options_.memory_limit == 0) options_.memory_limit = device.memory_limit;
    if (options_.coded) basis_ = identity_basis(options_.dim);
  }

  static uint64_t slab_size(const DeviceOptions& device) {
    return device.slab_bytes != 0 ? device.slab_bytes : kSlabBytes;
  }
  static uint64_t bytes_for(int64_t rows, const StoreOptions& options) {
    return static_cast<uint64_t>(round_up(rows, kGroupRows)) *
               (static_cast<uint64_t>(padded_dim(options.dim)) * sizeof(float) + sizeof(float) + 1) +
           code_bytes_for(rows, options);
  }
  // What codes would take: here they are imagined, and all rows are scanned.
  static uint64_t code_bytes_for(int64_t rows, const StoreOptions& options) {
    const CodeLayout layout{options.metric, options.dim, default_level_dims(options.dim), groups_of(rows)};
    return options.coded ? static_cast<uint64_t>(layout.bytes()) : 0;
  }

  int64_t rows() const override { return static_cast<int64_t>(side_.size()); }
  uint64_t device_bytes() const override { return bytes_for(rows(), options_); }
  uint64_t workspace_bytes() const override { return 0; }

  Status append(const HostRows& from, const Call& call) override {
    NF_TRY(call.poll());
    const Status fits = check_memory(from.rows, call);
    if (!fits.ok() && fault_ != Fault::kTornAdd) return fits;
    const int64_t taken = fits.ok() ? from.rows : std::min<int64_t>(1, from.rows);
    for (int64_t i = 0; i < taken; ++i)
      push(from.data + i * from.stride, from.side[i], from.live || fault_ == Fault::kHiddenShown);
    return fits;
  }

  Status append_from(Store& other, std::span<const int64_t> numbers, const Call& call) override {
    NF_TRY(call.poll());
    auto& from = static_cast<PlantedStore&>(other);
    NF_TRY(check_memory(static_cast<int64_t>(numbers.size()), call));
    std::vector<int64_t> order(numbers.begin(), numbers.end());
    if (fault_ == Fault::kCompactOrder) std::reverse(order.begin(), order.end());
    for (const int64_t row : order) push(from.vector(row), from.side_[at(row)], from.live_[at(row)] != 0);
    return {};
  }

  Status write(std::span<const int64_t> numbers, const HostRows& from, const Call& call) override {
    NF_TRY(call.poll());
    const size_t last = fault_ == Fault::kStaleReplace ? numbers.size() - 1 : numbers.size();
    for (size_t i = 0; i < last; ++i) {
      std::copy_n(from.data + static_cast<int64_t>(i) * from.stride, options_.dim, vector(numbers[i]));
      side_[at(numbers[i])] = from.side[i];
    }
    return {};
  }

  Status read(std::span<const int64_t> numbers, float* out, int64_t stride, const Call& call) override {
    NF_TRY(call.poll());
    for (const int64_t row : numbers) {
      std::copy_n(vector(row), options_.dim, out);
      if (fault_ == Fault::kOutputOverrun && stride > options_.dim) out[options_.dim] = 0;
      out += stride;
    }
    return {};
  }

  Status set_live(std::span<const int64_t> numbers, bool live, const Call& call) override {
    NF_TRY(call.poll());
    for (const int64_t row : numbers) live_[at(row)] = live ? 1 : 0;
    return {};
  }

  Status set_live_range(int64_t first, int64_t count, bool live, const Call& call) override {
    NF_TRY(call.poll());
    const int64_t end = first + count;
    if (fault_ == Fault::kLiveRange) first = std::min(end, round_up(first, kGroupRows));
    for (int64_t row = first; row < end; ++row) live_[at(row)] = live ? 1 : 0;
    return {};
  }

  Status search(const SearchPlan& plan, const Call& call) override {
    std::vector<Hit> found;
    for (int64_t query = 0; query < plan.batch; ++query) {
      NF_TRY(call.poll());
      const float* q = plan.queries + query * plan.query_stride;
      const uint32_t* mask = plan.mask_of_query == nullptr
                                 ? nullptr
                                 : plan.mask_of_query[fault_ == Fault::kMaskQuery ? 0 : query];
      found.clear();
      for (int64_t row = 0; row < rows(); ++row)
        if (may_return(row, mask))
          found.push_back({row, rank(q, row, fault_ == Fault::kBatchOrder && plan.batch > 1), 0});
      select(&found, plan.k);
      Hit* const hits = plan.hits + query * plan.k;
      std::fill_n(std::copy(found.begin(), found.end(), hits), plan.k - static_cast<int64_t>(found.size()),
                  Hit{});
      if (plan.rescored != nullptr) plan.rescored[query] = 0;
    }
    return {};
  }

  // Which rows have codes of the basis before, and whether there were ever more than two bases.
  void set_basis(BasisPtr basis) override {
    mixed_ = mixed_ || std::count(in_old_.begin(), in_old_.end(), 1) != 0;
    basis_ = std::move(basis);
    in_old_.assign(in_old_.size(), 1);
  }
  BasisPtr basis() const override { return basis_; }
  uint64_t code_bytes() const override { return code_bytes_for(rows(), options_); }
  Status recode(int64_t count, int64_t* left, const Call& call) override {
    NF_TRY(call.poll());
    if (mixed_)
      return error(NF_INTERNAL, "%s: a basis was set while rows had codes of two others", call.operation());
    // As the shadow codes of a slab would.
    const uint64_t needed = device_bytes() + code_bytes_for(std::min(rows(), kShadowRows), options_);
    if (options_.memory_limit != 0 && needed > options_.memory_limit)
      return error(NF_RESOURCE_EXHAUSTED, "%s: coding anew needs %llu bytes, memory_limit is %llu bytes",
                   call.operation(), static_cast<unsigned long long>(needed),
                   static_cast<unsigned long long>(options_.memory_limit));
    for (uint8_t& old : in_old_) {
      if (old == 0 || count == 0) continue;
      old = 0;
      --count;
    }
    *left = std::count(in_old_.begin(), in_old_.end(), 1);
    return {};
  }

  Status score(const ScorePlan& plan, const Call& call) override {
    for (int64_t query = 0; query < plan.batch; ++query) {
      NF_TRY(call.poll());
      for (int64_t i = plan.offsets[query]; i < plan.offsets[query + 1]; ++i)
        plan.ranks[i] =
            rank(plan.queries + query * plan.query_stride, plan.rows[i], fault_ == Fault::kScoreForm);
    }
    return {};
  }

 private:
  static size_t at(int64_t row) { return static_cast<size_t>(row); }
  float* vector(int64_t row) { return vectors_.data() + row * options_.dim; }

  Status check_memory(int64_t added, const Call& call) const {
    const uint64_t needed = bytes_for(rows() + added, options_);
    if (options_.memory_limit == 0 || needed <= options_.memory_limit) return {};
    return error(NF_RESOURCE_EXHAUSTED, "%s: %lld rows need %llu bytes, memory_limit is %llu bytes",
                 call.operation(), static_cast<long long>(rows() + added),
                 static_cast<unsigned long long>(needed),
                 static_cast<unsigned long long>(options_.memory_limit));
  }

  void push(const float* from, float side, bool live) {
    const std::vector<float> copy(from, from + options_.dim);
    vectors_.insert(vectors_.end(), copy.begin(), copy.end());
    side_.push_back(side);
    live_.push_back(live ? 1 : 0);
    in_old_.push_back(0);
    for (const SlabMap::Slab& slab : slabs_.missing(rows())) slabs_.push(slab);
  }

  float rank(const float* q, int64_t row, bool one_chain) {
    const int64_t dim = options_.dim - (fault_ == Fault::kDimension ? 1 : 0);
    return rank_of(options_.metric, q, vector(row), dim, side_[at(row)], one_chain);
  }

  bool may_return(int64_t row, const uint32_t* mask) const {
    if (live_[at(row)] == 0 && fault_ != Fault::kLiveBit) return false;
    if (fault_ == Fault::kLostCandidate && row % 97 == 96) return false;
    if (fault_ == Fault::kSlabEdge && row > 0 && slabs_.place(row).row == 0) return false;
    if (mask == nullptr) return true;
    const int64_t group = row / kGroupRows;
    if (fault_ == Fault::kMaskWord && group + 1 == groups_of(rows())) return true;
    return (mask[group] >> (row % kGroupRows) & 1) != 0;
  }

  void select(std::vector<Hit>* found, int32_t k) const {
    const bool reversed = fault_ == Fault::kTieOrder;
    const auto order = [reversed](const Hit& a, const Hit& b) {
      return reversed && a.rank == b.rank ? a.row > b.row : better(a, b);
    };
    const auto most = static_cast<size_t>(fault_ == Fault::kLargeK ? std::min(k, 128) : k);
    const size_t kept = std::min(found->size(), most);
    std::partial_sort(found->begin(), found->begin() + static_cast<ptrdiff_t>(kept), found->end(), order);
    found->resize(kept);
    if (fault_ == Fault::kNearestUnsorted && kept > 1) std::swap((*found)[0], (*found)[1]);
  }

  StoreOptions options_;
  Fault fault_;
  SlabMap slabs_;
  std::vector<float> vectors_, side_;
  std::vector<uint8_t> live_;
  BasisPtr basis_;
  std::vector<uint8_t> in_old_;
  bool mixed_ = false;
};

void describe(nf_device_info* out) {
  *out = nf_device_info{};
  out->struct_size = sizeof(*out);
  std::snprintf(out->name, sizeof(out->name), "scalar reference");
  std::snprintf(out->driver, sizeof(out->driver), "none");
  out->dispatch_target_ns = 10'000'000;
  out->simd_width = 1;
  out->compute_units = 1;
  out->unified_memory = 1;
}

class PlantedDevice final : public Device {
 public:
  PlantedDevice(DeviceOptions options, Fault fault) : options_(std::move(options)), fault_(fault) {}

  Status info(nf_device_info* out) override {
    describe(out);
    return {};
  }
  bool supports(int32_t metric) const override { return metric >= NF_L2SQ && metric <= NF_MANHATTAN; }
  bool supports_codes(int32_t metric) const override { return metric != NF_MANHATTAN && supports(metric); }
  uint64_t estimate(const StoreOptions& options) const override {
    return PlantedStore::bytes_for(options.capacity, options);
  }
  Status create_store(const StoreOptions& options, std::unique_ptr<Store>* out, const Call&) override {
    *out = std::make_unique<PlantedStore>(options, options_, fault_);
    return {};
  }

 private:
  DeviceOptions options_;
  Fault fault_;
};

class PlantedBackend final : public Backend {
 public:
  const char* name() const override { return "planted"; }
  const char* build() const override { return "0.1.0 scalar"; }
  Status device_count(int32_t* count, std::string*) override {
    *count = 1;
    return {};
  }
  Status device_info(int32_t, nf_device_info* out) override {
    describe(out);
    return {};
  }
  Status create_device(const DeviceOptions& options, std::unique_ptr<Device>* out,
                       const Call& call) override {
    const std::string wanted = options.force_path.empty() ? "none" : options.force_path;
    std::string known;
    for (const Path& path : kPaths) {
      if (wanted == path.name) {
        *out = std::make_unique<PlantedDevice>(options, path.fault);
        return {};
      }
      known += std::string(known.empty() ? "" : ", ") + path.name;
    }
    return error(NF_INVALID_ARGUMENT, "%s: force_path=%s, this backend has %s", call.operation(),
                 wanted.c_str(), known.c_str());
  }
};

}  // namespace

std::unique_ptr<Backend> make_backend() { return std::make_unique<PlantedBackend>(); }

}  // namespace nearfield
