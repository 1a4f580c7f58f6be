// SPDX-License-Identifier: Apache-2.0
// The compiled kernels: an image of machine code for each architecture, and PTX for those that come later.
// Which of them a GPU and its driver take.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace nearfield::cuda {

struct Image {
  int capability;  // 90 for 9.0
  bool is_exact;   // 9.0a: machine code of GPUs of this capability alone, with products of warpgroups
  bool is_ptx;
  int driver;  // the oldest that takes it, 12000 for CUDA 12.0
  size_t offset, bytes;
};

// What compile.py made; kernels.bin has it in read-only memory.
std::span<const Image> images();
const void* data_of(const Image& image);

// The images of `all` that a GPU of this compute capability runs with this driver, best first. None:
// `why_none` says what is missing, as the end of a sentence.
std::vector<Image> images_for(std::span<const Image> all, int capability, int driver, std::string* why_none);

// "CUDA 12.4"; "9.0"
std::string driver_text(int version);
std::string capability_text(int capability);

}  // namespace nearfield::cuda
