// Hopper's tensor cores: products of a warpgroup (four warps side by side), which go on beside other work and
// read their operands from shared memory. Of sm_90a alone.
#pragma once

#include "kernels/cuda/mma.cuh"

#include <cuda_runtime.h>

#include <cstdint>

namespace sluice::kernels::cuda {

// Whether what is being compiled may hold these instructions: kernels made of them are empty elsewhere.
#if defined(__CUDA_ARCH__) && !defined(__CUDA_ARCH_FEAT_SM90_ALL)
inline constexpr bool kHasWgmma = false;
#else
inline constexpr bool kHasWgmma = true;
#endif

inline constexpr int kWarpgroup = 128;
inline constexpr int kWgmmaOutputs = 64;  // rows of `a`
// Tiles in shared memory begin at multiples of this: the hardware permutes chunks by bits of the address.
inline constexpr int kSwizzleBytes = 1024;

__device__ __forceinline__ int warpgroup_of_thread() { return static_cast<int>(threadIdx.x) / kWarpgroup; }

// 32 bytes of each row of a tile in shared memory: sixteen bfloat16 or 32 e4m3 codes, which is what one
// product takes. Rows are 128 bytes, whose chunk c of 16 lies where chunk c ^ row % 8 would. `step`: which 32
// bytes.
#ifdef __CUDACC__
using Operand = std::uint64_t;
#else
using Operand = emulation::Operand;
#endif
__device__ __forceinline__ Operand operand(const void* tile, int step) {
#ifdef __CUDACC__
    // In units of 16 bytes: the address, then (from bit 32) the distance of eight rows. Bit 62 stands for
    // permuting within 128 bytes; bit 16 is not used with it.
    constexpr std::uint64_t kRows = std::uint64_t{kSwizzleBytes / 16} << 32 | std::uint64_t{1} << 16;
    return std::uint64_t{1} << 62 | kRows | ((shared_address(tile) >> 4) + static_cast<unsigned>(2 * step));
#else
    return {static_cast<const std::byte*>(tile), step};
#endif
}

// Before a warpgroup's first product, and after its threads wrote registers that the next one uses.
template <int Tiles>
__device__ __forceinline__ void fence_registers(float (&c)[Tiles][4]) {
#ifdef __CUDACC__
    // No compiler may move what it does with the sums past this.
#pragma unroll
    for (int n = 0; n < Tiles; ++n)
        asm volatile("" : "+f"(c[n][0]), "+f"(c[n][1]), "+f"(c[n][2]), "+f"(c[n][3])::"memory");
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#else
    emulation::fence_registers(&c[0][0]);
#endif
}

// After the thread's copies (copy_async) are there and before the barrier behind which products read them:
// what reads is another kind of access, to which they must be shown.
__device__ __forceinline__ void show_copies() {
#ifdef __CUDACC__
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#else
    emulation::show_copies();
#endif
}

// Makes a group of the products that the warpgroup began since its last one.
__device__ __forceinline__ void commit_products() {
#ifdef __CUDACC__
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#else
    emulation::commit_products();
#endif
}

// After a wait for products that read these registers: keeps them from being used for anything else before.
// And after they were written anew, before the fence: has that done by then.
template <int Count>
__device__ __forceinline__ void hold_registers(std::uint32_t (&a)[Count][4]) {
#ifdef __CUDACC__
#pragma unroll
    for (int i = 0; i < Count; ++i)
        asm volatile("" : "+r"(a[i][0]), "+r"(a[i][1]), "+r"(a[i][2]), "+r"(a[i][3])::"memory");
#else
    static_cast<void>(a);  // a product has taken its rows when it begins
    emulation::write_registers();
#endif
}

// Waits until no more than the `Pending` last groups are under way. What a finished group read may be written
// again.
template <int Pending>
__device__ __forceinline__ void wait_products() {
#ifdef __CUDACC__
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
#else
    emulation::wait_products(Pending);
#endif
}

// After the wait for the last product that adds to these sums: from here on they may be touched.
template <int Tiles>
__device__ __forceinline__ void take_sums(float (&c)[Tiles][4]) {
#ifdef __CUDACC__
#pragma unroll
    for (int n = 0; n < Tiles; ++n)
        asm volatile("" : "+f"(c[n][0]), "+f"(c[n][1]), "+f"(c[n][2]), "+f"(c[n][3])::"memory");
#else
    emulation::take_sums(&c[0][0]);
#endif
}

// The names of as many registers as the sums take, and what stands for them.
// clang-format off
#define SLUICE_NAMES_4 "%0, %1, %2, %3"
#define SLUICE_NAMES_8 SLUICE_NAMES_4 ", %4, %5, %6, %7"
#define SLUICE_NAMES_16 SLUICE_NAMES_8 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define SLUICE_NAMES_32 SLUICE_NAMES_16 \
    ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define SLUICE_NAMES_64 SLUICE_NAMES_32 \
    ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47" \
    ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define SLUICE_NAMES_128 SLUICE_NAMES_64 \
    ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79" \
    ", %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95" \
    ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111" \
    ", %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define SLUICE_SUMS_4(n) "+f"(c[n][0]), "+f"(c[n][1]), "+f"(c[n][2]), "+f"(c[n][3])
#define SLUICE_SUMS_8(n) SLUICE_SUMS_4(n), SLUICE_SUMS_4((n) + 1)
#define SLUICE_SUMS_16(n) SLUICE_SUMS_8(n), SLUICE_SUMS_8((n) + 2)
#define SLUICE_SUMS_32(n) SLUICE_SUMS_16(n), SLUICE_SUMS_16((n) + 4)
#define SLUICE_SUMS_64(n) SLUICE_SUMS_32(n), SLUICE_SUMS_32((n) + 8)
#define SLUICE_SUMS_128(n) SLUICE_SUMS_64(n), SLUICE_SUMS_64((n) + 16)
#define SLUICE_WGMMA(columns, types, registers) \
    "wgmma.mma_async.sync.aligned.m64n" #columns types " {" SLUICE_NAMES_##registers "}, "
// clang-format on

// c[64, 8 * Tiles] += a[64, 16] b[16, 8 * Tiles] in bfloat16, b given as its transpose: both by their rows in
// shared memory. Warp w of the four has rows 16w to 16w + 15 of c, in tiles of eight columns that lie in
// registers as those of mma_bf16. The order in which sixteen products are added is the hardware's own; that
// it is the same for every number of tiles is taken for granted (a test of the primitives looks at it).
template <int Tiles>
__device__ __forceinline__ void multiply_async(float (&c)[Tiles][4], const Operand& a, const Operand& b) {
#ifdef __CUDACC__
// Products are added to the sums, their signs as they are; both operands have their k side by side.
#define SLUICE_BOTH_SHARED(columns, registers, left, right)                                               \
    asm volatile(SLUICE_WGMMA(columns, "k16.f32.bf16.bf16", registers) left ", " right ", 1, 1, 1, 0, 0;" \
                 : SLUICE_SUMS_##registers(0)                                                             \
                 : "l"(a), "l"(b))
    if constexpr (Tiles == 1) SLUICE_BOTH_SHARED(8, 4, "%4", "%5");
    if constexpr (Tiles == 2) SLUICE_BOTH_SHARED(16, 8, "%8", "%9");
    if constexpr (Tiles == 4) SLUICE_BOTH_SHARED(32, 16, "%16", "%17");
    if constexpr (Tiles == 8) SLUICE_BOTH_SHARED(64, 32, "%32", "%33");
    if constexpr (Tiles == 16) SLUICE_BOTH_SHARED(128, 64, "%64", "%65");
    if constexpr (Tiles == 32) SLUICE_BOTH_SHARED(256, 128, "%128", "%129");
#undef SLUICE_BOTH_SHARED
#else
    emulation::multiply_async(&c[0][0], Tiles, a, b);
#endif
}

// The same with `a` from registers: each warp has its sixteen rows as those of mma_bf16. They may not be
// written before the product has ended.
template <int Tiles>
__device__ __forceinline__ void multiply_async(float (&c)[Tiles][4], const std::uint32_t (&a)[4],
                                               const Operand& b) {
#ifdef __CUDACC__
#define SLUICE_ONE_SHARED(columns, registers, left, right)                                             \
    asm volatile(SLUICE_WGMMA(columns, "k16.f32.bf16.bf16", registers) left ", " right ", 1, 1, 1, 0;" \
                 : SLUICE_SUMS_##registers(0)                                                          \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))
    if constexpr (Tiles == 1) SLUICE_ONE_SHARED(8, 4, "{%4, %5, %6, %7}", "%8");
    if constexpr (Tiles == 2) SLUICE_ONE_SHARED(16, 8, "{%8, %9, %10, %11}", "%12");
    if constexpr (Tiles == 4) SLUICE_ONE_SHARED(32, 16, "{%16, %17, %18, %19}", "%20");
    if constexpr (Tiles == 8) SLUICE_ONE_SHARED(64, 32, "{%32, %33, %34, %35}", "%36");
    if constexpr (Tiles == 16) SLUICE_ONE_SHARED(128, 64, "{%64, %65, %66, %67}", "%68");
#undef SLUICE_ONE_SHARED
#else
    emulation::multiply_async(&c[0][0], Tiles, a, b);
#endif
}

// c[64, 8 * Tiles] += a[64, 32] b[32, 8 * Tiles] in e4m3, as the first of these; `Fresh`: = instead. Sums
// keep some 14 bits on the way (DeepSeek-V3 Technical Report, arXiv:2412.19437, 3.5.2), so that few
// products should be added here.
template <bool Fresh, int Tiles>
__device__ __forceinline__ void multiply_codes_async(float (&c)[Tiles][4], const Operand& a,
                                                     const Operand& b) {
#ifdef __CUDACC__
#define SLUICE_CODES(columns, registers, left, right, added)                                                \
    asm volatile(SLUICE_WGMMA(columns, "k32.f32.e4m3.e4m3", registers) left ", " right ", " added ", 1, 1;" \
                 : SLUICE_SUMS_##registers(0)                                                               \
                 : "l"(a), "l"(b), "n"(Fresh ? 0 : 1))
    if constexpr (Tiles == 1) SLUICE_CODES(8, 4, "%4", "%5", "%6");
    if constexpr (Tiles == 2) SLUICE_CODES(16, 8, "%8", "%9", "%10");
    if constexpr (Tiles == 4) SLUICE_CODES(32, 16, "%16", "%17", "%18");
    if constexpr (Tiles == 8) SLUICE_CODES(64, 32, "%32", "%33", "%34");
    if constexpr (Tiles == 16) SLUICE_CODES(128, 64, "%64", "%65", "%66");
#undef SLUICE_CODES
#else
    emulation::multiply_codes_async(&c[0][0], Tiles, a, b, Fresh);
#endif
}

#undef SLUICE_WGMMA
#undef SLUICE_NAMES_4
#undef SLUICE_NAMES_8
#undef SLUICE_NAMES_16
#undef SLUICE_NAMES_32
#undef SLUICE_NAMES_64
#undef SLUICE_NAMES_128
#undef SLUICE_SUMS_4
#undef SLUICE_SUMS_8
#undef SLUICE_SUMS_16
#undef SLUICE_SUMS_32
#undef SLUICE_SUMS_64
#undef SLUICE_SUMS_128

}  // namespace sluice::kernels::cuda
