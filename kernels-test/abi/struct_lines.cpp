// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <iterator>
#include <type_traits>

#include "arguments.hpp"

namespace nearfield_test {
namespace {

// A place of a request that points to a struct.
struct Place {
  Entry entry;
  const char* name;
  void* (*pointer)(Requests&);  // where the pointer stands
  uint32_t size;
  uint32_t alignment;
  bool may_be_null;
};

#define NF_PLACE(entry, member, may_be_null)                                                              \
  Place {                                                                                                 \
    Entry::entry, #member, [](Requests& r) -> void* { return &(r.member); },                              \
        sizeof(*static_cast<Requests*>(nullptr)->member),                                                 \
        alignof(std::remove_reference_t<decltype(*static_cast<Requests*>(nullptr)->member)>), may_be_null \
  }

const Place kPlaces[] = {NF_PLACE(kDeviceInfo, device_info, false),
                         NF_PLACE(kContextCreate, context_desc, false),
                         NF_PLACE(kEstimate, desc, false),
                         NF_PLACE(kCreate, desc, false),
                         NF_PLACE(kInfo, info, false),
                         NF_PLACE(kAdd, add, false),
                         NF_PLACE(kAdd, at.add.rows, false),
                         NF_PLACE(kReplace, rows, false),
                         NF_PLACE(kRead, out, false),
                         NF_PLACE(kSetLive, live, false),
                         NF_PLACE(kCompact, compact, false),
                         NF_PLACE(kCompact, step, false),
                         NF_PLACE(kSearch, search, false),
                         NF_PLACE(kSearch, at.search.queries, false),
                         NF_PLACE(kSearch, at.search.result, false),
                         NF_PLACE(kSearch, at.filters[1], false),
                         NF_PLACE(kScore, score, false),
                         NF_PLACE(kScore, at.score.queries, false),
                         NF_PLACE(kKnn, knn, false),
                         NF_PLACE(kKnn, knn_step, true),
                         NF_PLACE(kKnn, at.knn.queries, false),
                         NF_PLACE(kKnn, at.knn.dataset, false),
                         NF_PLACE(kKnn, at.knn.filter, true),
                         NF_PLACE(kKnn, at.knn.result, false),
                         NF_PLACE(kKmeans, kmeans, false),
                         NF_PLACE(kKmeans, kmeans_step, true),
                         NF_PLACE(kKmeans, at.kmeans.data, false),
                         NF_PLACE(kAssign, assign, false),
                         NF_PLACE(kAssign, at.assign.data, false),
                         NF_PLACE(kAssign, at.assign.centroids, false),
                         NF_PLACE(kAssign, at.assign.nearest, false)};
#undef NF_PLACE

unsigned char* pointer_at(const Place& place, Requests& r) {
  unsigned char* pointer;
  std::memcpy(&pointer, place.pointer(r), sizeof(pointer));
  return pointer;
}

void point_to(const Place& place, Requests& r, void* where) {
  std::memcpy(place.pointer(r), &where, sizeof(where));
}

void set_size(const Place& place, Requests& r, uint32_t size) {
  std::memcpy(pointer_at(place, r), &size, sizeof(size));
}

// Copies the struct to its own part of the arena, `tail` bytes longer.
void lengthen(const Place& place, size_t part, Requests& r, uint32_t tail, unsigned char last) {
  constexpr size_t kPart = 384;
  static_assert(kPart * std::size(kPlaces) <= sizeof(r.at.arena) && sizeof(nf_device_info) + 24 <= kPart);
  unsigned char* const longer = r.at.arena + part * kPart;
  std::memset(longer, 0, kPart);
  std::memcpy(longer, pointer_at(place, r), place.size);
  point_to(place, r, longer);
  set_size(place, r, place.size + tail);
  longer[place.size + tail - 1] = last;
}

}  // namespace

std::vector<Line> struct_lines() {
  std::vector<Line> lines;
  for (size_t part = 0; part < std::size(kPlaces); ++part) {
    const Place& place = kPlaces[part];
    const std::string name = place.name;
    const auto line = [&](const std::string& what, const Expectation& expected, const Change& change) {
      lines.push_back({place.entry, name + " " + what, expected, change});
    };
    const Expectation bad_size{NF_INVALID_ARGUMENT, "struct_size"};
    const Place p = place;
    line("NULL", place.may_be_null ? Expectation{NF_OK, ""} : Expectation{NF_INVALID_ARGUMENT, "NULL"},
         [p](Requests& r) { point_to(p, r, nullptr); });
    line("misaligned", {NF_INVALID_ARGUMENT, "misaligned"},
         [p](Requests& r) { point_to(p, r, pointer_at(p, r) + p.alignment / 2); });
    line("of size 0", bad_size, [p](Requests& r) { set_size(p, r, 0); });
    line("a byte short", bad_size, [p](Requests& r) { set_size(p, r, p.size - 1); });
    line("of 4 GiB", bad_size, [p](Requests& r) { set_size(p, r, UINT32_MAX); });
    line("longer by zeros", {NF_OK, ""}, [p, part](Requests& r) { lengthen(p, part, r, 24, 0); });
    line("longer by a field", {NF_UNIMPLEMENTED, "is not 0"},
         [p, part](Requests& r) { lengthen(p, part, r, 24, 1); });
  }
  return lines;
}

}  // namespace nearfield_test
