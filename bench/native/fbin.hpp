// SPDX-License-Identifier: Apache-2.0
// .fbin files: u32 rows, u32 dimensions, then the rows as f32, all little-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

namespace nearfield::bench {

// A file of rows, mapped and brought into memory: reading a row costs no page fault.
class Fbin {
 public:
  explicit Fbin(const std::string& file);  // throws Refused
  ~Fbin();
  Fbin(const Fbin&) = delete;
  Fbin& operator=(const Fbin&) = delete;

  int64_t rows() const { return rows_; }
  int64_t dim() const { return dim_; }
  const float* row(int64_t i) const { return data_ + i * dim_; }

 private:
  void* mapped_ = nullptr;
  size_t bytes_ = 0;
  int64_t rows_ = 0, dim_ = 0;
  const float* data_ = nullptr;
};

// A file being written; throws Refused when the disk is full. An unfinished one is removed.
class Output {
 public:
  explicit Output(const std::string& file);
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  void write(const void* data, size_t bytes);
  void close();

 private:
  [[noreturn]] void fail() const;
  std::string file_;
  std::FILE* out_;
};

}  // namespace nearfield::bench
