// SPDX-License-Identifier: Apache-2.0
#include "image.hpp"

#include <elf.h>

#include <cstdio>
#include <cstring>

#include "device.hpp"

namespace nearfield::simt::cuda {
namespace {

using nearfield::cuda::kNoBinary;
using nearfield::cuda::kSuccess;

constexpr Result kUnsupportedPtx = 222, kInvalidPtx = 218;
constexpr int kMachineCuda = 190;

// The ABI version tells the generation of ptxas: 7 of CUDA 12, whose drivers refuse the 8 of CUDA 13.
Result takes_machine_code(const Elf64_Ehdr& header, int capability, int driver) {
  if (header.e_machine != kMachineCuda) return kInvalidImage;
  const int abi = header.e_ident[EI_ABIVERSION];
  int arch = 0, oldest = 0;
  if (abi == 7) {
    arch = static_cast<int>(header.e_flags & 0xff);
    oldest = 12000;
  } else if (abi == 8) {
    arch = static_cast<int>(header.e_flags >> 8 & 0xff);
    oldest = 13000;
  }
  if (driver < oldest || oldest == 0) return kInvalidImage;
  return arch / 10 == capability / 10 && arch <= capability ? kSuccess : kNoBinary;
}

// The PTX that came with each driver (the PTX manual's release history).
int newest_ptx(int driver) {
  if (driver >= 13000) return 90;
  if (driver >= 12080) return 87 + (driver - 12080) / 10;
  if (driver >= 12060) return 85;
  if (driver >= 12000) return 80 + (driver - 12000) / 10;
  return 70 + (driver - 11000) / 10;  // 11.0 to 11.8
}

Result takes_ptx(const char* text, int capability, int driver) {
  int major = 0, minor = 0, target = 0;
  const char *const version = std::strstr(text, "\n.version "), *const for_target =
                                                                    std::strstr(text, "\n.target ");
  if (version == nullptr || for_target == nullptr ||
      std::sscanf(version, "\n.version %d.%d", &major, &minor) != 2 ||
      std::sscanf(for_target, "\n.target sm_%d", &target) != 1)
    return kInvalidPtx;
  if (10 * major + minor > newest_ptx(driver)) return kUnsupportedPtx;
  return target <= capability ? kSuccess : kNoBinary;
}

}  // namespace

Result takes(const void* image, int capability, int driver) {
  if (image == nullptr) return kInvalidImage;
  Elf64_Ehdr header;
  if (std::memcmp(image, ELFMAG, SELFMAG) != 0)
    return takes_ptx(static_cast<const char*>(image), capability, driver);
  std::memcpy(&header, image, sizeof(header));
  return takes_machine_code(header, capability, driver);
}

}  // namespace nearfield::simt::cuda
