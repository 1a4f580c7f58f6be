// SPDX-License-Identifier: Apache-2.0
#include "lookahead.hpp"

#include <algorithm>
#include <new>
#include <system_error>

#include "float_mode.hpp"
#include "index.hpp"
#include "signals.hpp"

namespace nearfield {
namespace {
constexpr int64_t kBetweenStops = int64_t{1} << 16;  // floats: 256 KiB, some 30 us of one core
}

Lookahead::~Lookahead() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

Status Lookahead::check(int64_t unit) {
  const int64_t step = std::max<int64_t>(1, kBetweenStops / rows_.cols), rows = rows_of(unit);
  for (int64_t row = 0; row < rows && !stop_; row += step) {
    const int64_t at = unit * unit_ + row;
    NF_TRY(derive_sides(call_, rules_, rows_.slice(at, std::min(step, rows - row)), noun_, first_ + at,
                        side_of(unit).data() + row));
  }
  return {};
}

void Lookahead::begin_ahead(int64_t unit) {
  if (!ahead_ || unit * unit_ >= rows_.rows) return;
  side_of(unit).resize(static_cast<size_t>(rows_of(unit)));
  try {
    const SignalsBlocked blocked;
    thread_ = std::thread([this, unit] {
      const DefaultFloatMode mode;
      try {
        status_ = check(unit);
      } catch (const std::bad_alloc&) {  // texts so short that they need none
        status_ = Status(NF_RESOURCE_EXHAUSTED, "no host memory");
      } catch (...) {
        status_ = Status(NF_INTERNAL, "exception");
      }
    });
  } catch (const std::system_error&) {  // no thread to be had: it is checked when it is come to
  }
}

Status Lookahead::take(int64_t begin, int64_t count, std::span<const float>* side) {
  const int64_t unit = begin / unit_, in_unit = begin % unit_;
  if (unit == checked_) {
    if (thread_.joinable()) {
      thread_.join();
      NF_TRY(status_);
    } else {
      side_of(unit).resize(static_cast<size_t>(rows_of(unit)));
      NF_TRY(check(unit));
    }
    begin_ahead(++checked_);
  }
  const int64_t taken = std::min(count, rows_of(unit) - in_unit);
  *side = {side_of(unit).data() + in_unit, static_cast<size_t>(taken)};
  return {};
}

}  // namespace nearfield
