// SPDX-License-Identifier: Apache-2.0
// Random requests: lines of the argument table mixed at will, and descriptors of random numbers. Whatever
// comes, a call succeeds or fails cleanly. Sizes that lie about memory the caller does not own are left out:
// no check can see them.
#include <algorithm>
#include <random>

#include "arguments.hpp"

namespace nearfield_test {
namespace {

class Fuzz {
 public:
  Fuzz(const Bench& bench, nf_context* context)
      : bench_(bench), random_(bench.seed), context_(context), runner_(bench, context, NF_L2SQ) {
    for (auto& lines : {value_lines(), struct_lines()})
      for (const Line& line : lines) lines_[static_cast<size_t>(line.entry)].push_back(line);
  }

  void mixed_lines(int round) {
    const auto entry = static_cast<Entry>(below(static_cast<int64_t>(Entry::kLast) + 1));
    if (entry == Entry::kContextCreate) return;  // costs a device each
    const std::vector<Line>& lines = lines_[static_cast<size_t>(entry)];
    std::vector<size_t> chosen;
    std::string name = "fuzz round " + std::to_string(round) + ", " + operation(entry) + ":";
    const auto count = 1 + below(4);
    bool silent = false;
    for (int64_t i = 0; i < count; ++i) {
      const auto next = static_cast<size_t>(below(static_cast<int64_t>(lines.size())));
      if (std::find(chosen.begin(), chosen.end(), next) != chosen.end())
        continue;  // misaligned twice is aligned
      chosen.push_back(next);
      const Line& line = lines[next];
      // These take away what later changes, or the judgement, need.
      silent = silent || line.name == "call NULL" || line.name == "call->error NULL";
      name += " [" + line.name + "]";
    }
    if (silent) return;
    runner_.expect_clean(entry, name, [&](Requests& r) {
      for (const size_t i : chosen)
        if (is_sound(r)) lines[i].change(r);
    });
  }

  void random_descriptor(int round) {
    nf_index_desc desc = sized<nf_index_desc>();
    desc.kind = pick({NF_FLAT, NF_FLAT, NF_FLAT, NF_IVF, any()});
    desc.metric = pick({NF_L2SQ, NF_COSINE, NF_DOT, NF_POINCARE, NF_MANHATTAN, any()});
    desc.dim = pick({1, 3, 768, 65536, 0, -1, any()});
    desc.store_dtype = pick({NF_F32, NF_F32, NF_F32, any()});
    desc.scan_dtype = pick({NF_F32, NF_F32, NF_F32, any()});
    desc.lists = pick({0, 0, 0, any()});
    desc.probes = pick({0, 0, 0, any()});
    desc.flags = static_cast<uint32_t>(pick({0, 0, 0, any()}));
    desc.reserved = static_cast<uint32_t>(pick({0, 0, 0, any()}));
    desc.capacity = below(3) == 0 ? static_cast<int64_t>(random_()) : below(100);
    // A capacity that passes the checks and is far beyond the machine is the memory's business, not this
    // test's.
    if (desc.capacity > 100 && desc.capacity <= int64_t{1} << 40) desc.capacity = int64_t{1} << 41;
    desc.memory_limit = below(2) == 0 ? 0 : random_() >> below(64);
    const double norms[] = {0, 0, 0.5, 1 - 1e-7, 1, -1, 1e300};
    desc.poincare_max_norm = norms[below(7)];
    Caller caller;
    nf_index* made = nullptr;
    const nf_status status = bench_.api->index_create(context_, &desc, &made, &caller.call);
    bench_.report->check((status == NF_OK) == (made != nullptr) && status != NF_INTERNAL &&
                             (status == NF_OK || caller.error.message[0] != '\0'),
                         "fuzz round " + std::to_string(round) + ", random descriptor",
                         std::string(status_name(status)) + " " + caller.error.message);
    bench_.api->index_destroy(made);

    nf_capability what = sized<nf_capability>();
    for (int32_t* field : {&what.op, &what.index_kind, &what.metric, &what.input_dtype, &what.store_dtype,
                           &what.scan_dtype, &what.reserved})
      *field = pick({1, 2, 5, any()});
    const int32_t answer = bench_.api->supports(context_, &what);
    bench_.report->check(answer == 0 || answer == 1, "fuzz round " + std::to_string(round) + ", supports");
  }

 private:
  int64_t below(int64_t limit) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(limit)); }
  int32_t any() { return static_cast<int32_t>(random_()); }
  int32_t pick(std::initializer_list<int32_t> from) {
    return *(from.begin() + below(static_cast<int64_t>(from.size())));
  }

  // Changes look inside the structs that pointers lead to; once a pointer is NULL or astray, no more are
  // made.
  static bool is_sound(const Requests& r) {
    const auto inside = [&r](const void* pointer) {
      const auto address = reinterpret_cast<uintptr_t>(pointer);
      const auto begin = reinterpret_cast<uintptr_t>(&r);
      return address >= begin && address < begin + sizeof(r) && address % 8 == 0;
    };
    bool sound = inside(r.call);
    for (const void* pointer : {static_cast<const void*>(r.device_info),
                                static_cast<const void*>(r.context_desc),
                                static_cast<const void*>(r.desc),
                                static_cast<const void*>(r.info),
                                static_cast<const void*>(r.rows),
                                static_cast<const void*>(r.out),
                                static_cast<const void*>(r.add),
                                static_cast<const void*>(r.at.add.rows),
                                static_cast<const void*>(r.live),
                                static_cast<const void*>(r.knn_step),
                                static_cast<const void*>(r.compact),
                                static_cast<const void*>(r.step),
                                static_cast<const void*>(r.search),
                                static_cast<const void*>(r.score),
                                static_cast<const void*>(r.knn),
                                static_cast<const void*>(r.kmeans),
                                static_cast<const void*>(r.kmeans_step),
                                static_cast<const void*>(r.assign),
                                static_cast<const void*>(r.at.kmeans.data),
                                static_cast<const void*>(r.at.assign.data),
                                static_cast<const void*>(r.at.assign.centroids),
                                static_cast<const void*>(r.at.assign.nearest),
                                static_cast<const void*>(r.at.search.queries),
                                static_cast<const void*>(r.at.search.result),
                                static_cast<const void*>(r.at.filters[1]),
                                static_cast<const void*>(r.at.score.queries),
                                static_cast<const void*>(r.at.knn.queries),
                                static_cast<const void*>(r.at.knn.dataset),
                                static_cast<const void*>(r.at.knn.filter),
                                static_cast<const void*>(r.at.knn.result)})
      sound = sound && inside(pointer);
    return sound;
  }

  const Bench& bench_;
  std::mt19937_64 random_;
  nf_context* context_;
  Runner runner_;
  std::vector<Line> lines_[static_cast<size_t>(Entry::kLast) + 1];
};

}  // namespace

void test_fuzz(const Bench& bench, int rounds) {
  const ContextHandle context = bench.context();
  Fuzz fuzz(bench, context.get());
  for (int round = 0; round < rounds; ++round) {
    fuzz.mixed_lines(round);
    if (round % 4 == 0) fuzz.random_descriptor(round);
  }
}

}  // namespace nearfield_test
