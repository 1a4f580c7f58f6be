// SPDX-License-Identifier: Apache-2.0
#include "buffers.hpp"

#include <cstring>
#include <utility>

#include "queue.hpp"

namespace nearfield::metal {

Status MetalQueue::allocate(uint64_t bytes, gpu::Use use, const char* what, gpu::Buffer* out) {
  NF_TRY(health());
  const Adapter& adapter = device_->adapter();
  if (bytes > adapter.buffer_bytes)
    return error(NF_RESOURCE_EXHAUSTED, "%s: %llu bytes in one buffer, %s allows %llu", what,
                 static_cast<unsigned long long>(bytes), adapter.name.c_str(),
                 static_cast<unsigned long long>(adapter.buffer_bytes));
  std::unique_ptr<Block> block = device_->allocate(bytes, use == gpu::Use::kReadback);
  if (block == nullptr)
    return error(NF_RESOURCE_EXHAUSTED, "%s: %s has no buffer of %llu bytes", what, adapter.name.c_str(),
                 static_cast<unsigned long long>(bytes));
  *out = gpu::Buffer(std::move(block), bytes);
  return {};
}

void MetalQueue::write(const gpu::Buffer& to, uint64_t offset, const void* data, uint64_t bytes) {
  if (bytes == 0 || !health().ok()) return;
  const Block& block = block_of(to);
  if (block.contents() != nullptr && flights_.empty() && gathered_.writes == nullptr) {
    std::memcpy(static_cast<uint8_t*>(block.contents()) + offset, data, bytes);
    return;
  }
  // Kernels in flight may still use the buffer, or the CPU does not see it: a copy, in order.
  std::unique_ptr<Block> staged = device_->allocate(bytes, true);
  if (staged == nullptr) return note(Fault::kOutOfMemory, "no buffer to stage a write in");
  if (!begin(&gathered_.writes)) return;
  std::memcpy(staged->contents(), data, bytes);
  gathered_.writes->copy(*staged, 0, block, offset, bytes);
  gathered_.staged.push_back(std::move(staged));
}

Status MetalQueue::read(const gpu::Buffer& from, uint64_t bytes, void* to, const char* what) {
  drain();
  NF_TRY(take_error(what));
  std::memcpy(to, block_of(from).contents(), bytes);
  return {};
}

}  // namespace nearfield::metal
