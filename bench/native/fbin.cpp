// SPDX-License-Identifier: Apache-2.0
#include "fbin.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>

#include "message.hpp"

namespace nearfield::bench {

static_assert(std::endian::native == std::endian::little, "files are read and written as they lie in memory");

Fbin::Fbin(const std::string& file) {
  const int in = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (in < 0) throw Refused("load: " + file + " cannot be opened: " + std::strerror(errno));
  struct stat status {};
  uint32_t header[2] = {};
  const bool read = ::fstat(in, &status) == 0 && ::read(in, header, sizeof(header)) == sizeof(header);
  rows_ = header[0];
  dim_ = header[1];
  bytes_ = sizeof(header) + static_cast<size_t>(rows_) * static_cast<size_t>(dim_) * sizeof(float);
  if (!read || rows_ == 0 || dim_ == 0 || static_cast<uint64_t>(status.st_size) != bytes_) {
    ::close(in);
    throw Refused(format("load: %s has %lld bytes, its header of %lld rows x %lld dimensions asks for %zu",
                         file.c_str(), static_cast<long long>(status.st_size), static_cast<long long>(rows_),
                         static_cast<long long>(dim_), bytes_));
  }
  int flags = MAP_PRIVATE;
#if defined(MAP_POPULATE)
  flags |= MAP_POPULATE;
#endif
  mapped_ = ::mmap(nullptr, bytes_, PROT_READ, flags, in, 0);
  ::close(in);
  if (mapped_ == MAP_FAILED)
    throw Refused(format("load: %s: %zu bytes cannot be mapped", file.c_str(), bytes_));
  data_ = reinterpret_cast<const float*>(static_cast<const char*>(mapped_) + sizeof(header));
}

Fbin::~Fbin() {
  if (mapped_ != nullptr && mapped_ != MAP_FAILED) ::munmap(mapped_, bytes_);
}

Output::Output(const std::string& file) : file_(file), out_(std::fopen(file.c_str(), "wb")) {
  if (out_ == nullptr) fail();
}

Output::~Output() {
  if (out_ == nullptr) return;
  std::fclose(out_);
  std::remove(file_.c_str());
}

void Output::write(const void* data, size_t bytes) {
  if (std::fwrite(data, 1, bytes, out_) != bytes) fail();
}

void Output::close() {
  std::FILE* out = out_;
  if (std::fflush(out) != 0) fail();
  out_ = nullptr;
  if (std::fclose(out) != 0) fail();
}

void Output::fail() const { throw Refused("write: " + file_ + ": " + std::strerror(errno)); }

}  // namespace nearfield::bench
