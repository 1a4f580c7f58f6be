// SPDX-License-Identifier: Apache-2.0
// The kernels' fatbin in read-only memory, 64-byte aligned as the driver wants images. An assembler
// directive, because an array of megabytes takes compilers minutes.
#ifdef __aarch64__
#define NF_SECTION_TYPE "%progbits"
#else
#define NF_SECTION_TYPE "@progbits"
#endif
__asm__(".pushsection .rodata.nearfield_cuda_fatbin, \"a\", " NF_SECTION_TYPE
        "\n"
        ".balign 64\n"
        ".globl nearfield_cuda_fatbin\n"
        ".hidden nearfield_cuda_fatbin\n"
        "nearfield_cuda_fatbin:\n"
        ".incbin \"" NEARFIELD_CUDA_FATBIN
        "\"\n"
        ".balign 8\n"
        ".popsection\n");
