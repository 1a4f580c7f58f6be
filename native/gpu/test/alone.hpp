// SPDX-License-Identifier: Apache-2.0
// Stores of codes alone: what is read does not depend on how much is decoded at once, and all answers are for
// what is read.
#pragma once

#include <numeric>

#include "codes_fixture.hpp"

namespace nearfield::gpu::test {

inline std::unique_ptr<Store> make_alone(Device& device, const Case& c, const BasisPtr& basis) {
  StoreOptions options;
  options.metric = c.metric;
  options.dim = c.dim;
  options.coded = options.drop_rows = true;
  std::unique_ptr<Store> store;
  CHECK_OK(device.create_store(options, &store, kCall));
  if (basis != nullptr) store->set_basis(basis);
  return store;
}

inline Rows read_all(const Case& c, Store& store) {
  Rows rows{c.metric, c.dim, store.rows(), std::vector<float>(static_cast<size_t>(store.rows() * c.dim)), {}};
  std::vector<int64_t> numbers(static_cast<size_t>(store.rows()));
  std::iota(numbers.begin(), numbers.end(), int64_t{0});
  CHECK_OK(store.read(numbers, rows.data.data(), c.dim, kCall));
  for (int64_t i = 0; i < rows.count; ++i)
    rows.side.push_back(row_side(c.metric, squared_norm(rows.row(i), c.dim)));
  return rows;
}

inline bool same_bits(const Rows& a, const Rows& b) {
  return a.data.size() == b.data.size() &&
         std::memcmp(a.data.data(), b.data.data(), a.data.size() * sizeof(float)) == 0;
}

// A store with the same rows, all of them plain, and their errors.
inline void compare_alone(const Case& c, const std::string& when, Device& device, Store& alone,
                          const Rows& given, const Queries& queries) {
  const Rows read = read_all(c, alone);
  auto plain = make_store(device, c, false);
  CHECK_OK(plain->append(read.host(), kCall));
  compare(c, when, alone, *plain, queries, {});
  std::vector<int64_t> numbers(static_cast<size_t>(read.count)), offsets{0, read.count};
  std::iota(numbers.rbegin(), numbers.rend(), int64_t{0});
  std::vector<float> ranks(numbers.size()), wanted(numbers.size()), errors(numbers.size());
  ScorePlan plan;
  plan.queries = queries.data.data();
  plan.query_stride = queries.stride;
  plan.batch = 1;
  plan.offsets = offsets.data();
  plan.rows = numbers.data();
  plan.ranks = wanted.data();
  CHECK_OK(plain->score(plan, kCall));
  plan.ranks = ranks.data();
  plan.errors = errors.data();
  CHECK_OK(alone.score(plan, kCall));
  CHECK_IN(c.name() + " " + when,
           std::memcmp(ranks.data(), wanted.data(), ranks.size() * sizeof(float)) == 0);
  for (size_t i = 0; i < numbers.size(); ++i) {
    const float *w = given.row(numbers[i]), *v = read.row(numbers[i]);
    const float scale = c.metric == NF_COSINE ? given.side[static_cast<size_t>(numbers[i])] : 1;
    double rest = 0;
    for (int32_t j = 0; j < c.dim; ++j)
      rest += std::pow(static_cast<double>(w[j] * scale) - static_cast<double>(v[j]), 2);
    // Half a step a coordinate, of a scale rounded up to bf16, and the roundings of the row, its coordinates
    // and v, each a chain of dim.
    const Basis& basis = *alone.basis();
    double offset = 0, lengths = 0;
    for (int32_t j = 0; j < c.dim; ++j) {
      const double m = basis.mean.empty() ? 0 : static_cast<double>(basis.mean[static_cast<size_t>(j)]);
      const double of_row = static_cast<double>(w[j] * scale);
      offset += (of_row - m) * (of_row - m);
      lengths += of_row * of_row + m * m;
    }
    const double most = std::sqrt(c.dim * offset) / 2 / 127 * (1 + 0x1p-7) +
                        4 * c.dim * 0x1p-24 * std::sqrt(2 * lengths) + std::sqrt(c.dim) * 127 * 0x1p-100;
    CHECK_IN(c.name() + " " + when + " row " + std::to_string(numbers[i]), std::sqrt(rest) <= most);
    // Rounded up, to the next f32 but one at most.
    const auto error = static_cast<double>(errors[i]);
    CHECK_IN(c.name() + " " + when,
             error >= std::sqrt(rest) * (1 - 1e-12) && error <= std::sqrt(rest) * (1 + 0x1p-22) + 0x1p-149);
  }
}

inline void run_alone(Device& device, Device& narrow, std::mt19937_64& random, const Case& c, bool rotates) {
  CHECK(device.supports_codes_alone(c.metric));
  Rows given = shaped_rows(random, c, c.rows);
  const BasisPtr basis = rotates ? random_basis(random, given, 8, 1) : nullptr;
  auto wide = make_alone(device, c, basis), slow = make_alone(narrow, c, basis);
  const Queries queries = make_queries(random, given, 5);
  for (Store* store : {wide.get(), slow.get()})
    for (const auto& [from, to] : {std::pair{int64_t{0}, int64_t{37}}, {37, 38}, {38, c.rows}})
      CHECK_OK(store->append(given.host(from, to), kCall));
  StoreOptions planned;
  planned.metric = c.metric;
  planned.dim = c.dim;
  planned.capacity = c.rows;
  planned.coded = planned.drop_rows = true;
  std::unique_ptr<Store> whole;
  CHECK_OK(device.create_store(planned, &whole, kCall));
  CHECK_OK(whole->append(given.host(0, 1), kCall));
  CHECK_IN(c.name(), whole->device_bytes() == device.estimate(planned) &&
                         whole->device_bytes() < 2 * whole->code_bytes());
  const Rows read = read_all(c, *wide);
  CHECK_IN(c.name(), same_bits(read, read_all(c, *slow)));
  compare_alone(c, "alone", device, *wide, given, queries);

  // An append that is cancelled leaves nothing behind.
  const uint32_t cancel = 1;
  nf_call call{};
  call.struct_size = sizeof(call);
  call.cancel = &cancel;
  CHECK(wide->append(given.host(), Call(&call, "add")).code() == NF_CANCELLED);
  CHECK_IN(c.name(), wide->rows() == c.rows && same_bits(read, read_all(c, *wide)));

  // Rows that are replaced in the midst of others, whose bits stay.
  std::vector<int64_t> targets;
  for (int64_t row = 3; row < c.rows; row += 11) targets.push_back(row);
  std::reverse(targets.begin(), targets.end());
  const Rows fresh = shaped_rows(random, c, static_cast<int64_t>(targets.size()));
  for (Store* store : {wide.get(), slow.get()}) CHECK_OK(store->write(targets, fresh.host(), kCall));
  const Rows after = read_all(c, *wide);
  CHECK_IN(c.name(), same_bits(after, read_all(c, *slow)));
  for (int64_t row = 0; row < c.rows; ++row)
    if (row % 11 != 3) CHECK_IN(c.name(), std::equal(read.row(row), read.row(row) + c.dim, after.row(row)));
  for (size_t i = 0; i < targets.size(); ++i) {
    std::copy_n(fresh.row(static_cast<int64_t>(i)), c.dim, given.data.begin() + targets[i] * c.dim);
    given.side[static_cast<size_t>(targets[i])] = fresh.side[i];
  }
  compare_alone(c, "replaced", narrow, *slow, given, queries);

  // Copies are the same, and in one basis only.
  std::vector<int64_t> kept;
  for (int64_t row = 0; row < c.rows; ++row)
    if (row % 5 != 0) kept.push_back(row);
  auto less = make_alone(device, c, wide->basis()), other = make_alone(device, c, identity_basis(c.dim));
  CHECK(other->append_from(*wide, kept, kCall).code() == NF_INTERNAL);
  CHECK_OK(less->append_from(*wide, kept, kCall));
  const Rows copied = read_all(c, *less);
  Rows left{c.metric, c.dim, static_cast<int64_t>(kept.size()), {}, {}};
  for (size_t i = 0; i < kept.size(); ++i) {
    CHECK_IN(c.name(), std::equal(copied.row(static_cast<int64_t>(i)),
                                  copied.row(static_cast<int64_t>(i)) + c.dim, after.row(kept[i])));
    left.data.insert(left.data.end(), given.row(kept[i]), given.row(kept[i]) + c.dim);
    left.side.push_back(given.side[static_cast<size_t>(kept[i])]);
  }
  compare_alone(c, "compacted", device, *less, left, queries);
}

}  // namespace nearfield::gpu::test
