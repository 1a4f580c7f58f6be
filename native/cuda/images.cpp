// SPDX-License-Identifier: Apache-2.0
#include "images.hpp"

#include <algorithm>

#include "cuda_build.hpp"

// The images in read-only memory, 64-byte aligned as the driver wants them. An assembler directive, because
// an array of megabytes takes compilers minutes.
#ifdef __aarch64__
#define NF_SECTION_TYPE "%progbits"
#else
#define NF_SECTION_TYPE "@progbits"
#endif
__asm__(".pushsection .rodata.nearfield_cuda_kernels, \"a\", " NF_SECTION_TYPE
        "\n"
        ".balign 64\n"
        ".globl nearfield_cuda_kernels\n"
        ".hidden nearfield_cuda_kernels\n"
        "nearfield_cuda_kernels:\n"
        ".incbin \"" NEARFIELD_CUDA_KERNELS
        "\"\n"
        ".balign 8\n"
        ".popsection\n");
extern "C" const unsigned char nearfield_cuda_kernels[];

namespace nearfield::cuda {
namespace {

#define NF_IMAGE(capability, is_exact, is_ptx, driver, offset, bytes) \
  {capability, is_exact != 0, is_ptx != 0, driver, offset, bytes},
constexpr Image kImages[] = {NEARFIELD_CUDA_IMAGES(NF_IMAGE)};
#undef NF_IMAGE

// Machine code runs on GPUs of the same major number and no lower minor one, PTX on all later ones.
bool runs_on(const Image& image, int capability) {
  if (image.is_exact) return image.capability == capability;
  return image.capability <= capability && (image.is_ptx || image.capability / 10 == capability / 10);
}

}  // namespace

std::span<const Image> images() { return kImages; }
const void* data_of(const Image& image) { return nearfield_cuda_kernels + image.offset; }

std::string driver_text(int version) {
  return "CUDA " + std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string capability_text(int capability) {
  return std::to_string(capability / 10) + "." + std::to_string(capability % 10);
}

std::vector<Image> images_for(std::span<const Image> all, int capability, int driver, std::string* why_none) {
  std::vector<Image> found;
  int lowest = 0, oldest = 0;  // of all images; of those for this GPU
  for (const Image& image : all) {
    if (lowest == 0 || image.capability < lowest) lowest = image.capability;
    if (!runs_on(image, capability)) continue;
    if (oldest == 0 || image.driver < oldest) oldest = image.driver;
    if (image.driver <= driver) found.push_back(image);
  }
  // What the driver need not compile, then what is nearest to the GPU.
  std::sort(found.begin(), found.end(), [](const Image& a, const Image& b) {
    return a.is_ptx != b.is_ptx ? b.is_ptx : a.capability > b.capability;
  });
  if (!found.empty()) return found;
  const std::string is = "it has compute capability " + capability_text(capability);
  if (oldest != 0)
    *why_none = is + ", for which this library needs a driver of " + driver_text(oldest) +
                " or later, and the driver is of " + driver_text(driver);
  else if (capability < lowest)
    *why_none = is + ", this library needs " + capability_text(lowest) + " or later";
  else
    *why_none = is + ", this library has code for " NEARFIELD_CUDA_CODE;
  return found;
}

}  // namespace nearfield::cuda
