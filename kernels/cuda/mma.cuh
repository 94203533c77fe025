// Tensor cores and what feeds them: a warp's products of small tiles, and copies into shared memory that go
// on beside them. Fragments lie in registers as the PTX ISA shows ("Matrix Fragments for mma.m16n8k16").
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace sluice::kernels::cuda {

// c[16, 8] += a[16, 16] b[16, 8] in bfloat16, two values a register, the one of the lower column (row of b)
// below. With g = lane / 4 and t = lane % 4:
//   a[0], a[1]: rows g and g + 8, columns 2t and 2t + 1; a[2], a[3]: the same rows, columns 2t + 8 and 2t + 9
//   b[0]: rows 2t and 2t + 1, column g; b[1]: rows 2t + 8 and 2t + 9
//   c[0], c[1]: row g, columns 2t and 2t + 1; c[2], c[3]: row g + 8
// The order in which sixteen products are added is the hardware's own; it is the same for every call.
__device__ __forceinline__ void mma_bf16(float (&c)[4], const std::uint32_t (&a)[4],
                                         const std::uint32_t (&b)[2]) {
#ifdef __CUDACC__
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    emulation::mma_bf16(c, a, b);
#endif
}

#ifdef __CUDACC__
__device__ __forceinline__ unsigned shared_address(const void* p) {
    return static_cast<unsigned>(__cvta_generic_to_shared(p));
}
#endif

// Four 8 x 8 matrices of 16-bit elements from shared memory: lane 8m + i gives the address of row i of matrix
// m (16 bytes, aligned to them), and register m of a lane gets columns 2t and 2t + 1 of its row g. So rows of
// a tile of `a` or of a transposed `b` become fragments.
__device__ __forceinline__ void load_matrices(std::uint32_t (&matrices)[4], const void* row) {
#ifdef __CUDACC__
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
                 : "r"(shared_address(row))
                 : "memory");
#else
    emulation::load_matrices(matrices, row, false);
#endif
}

// The same, each matrix transposed: rows of a tile of `b` become fragments.
__device__ __forceinline__ void load_transposed(std::uint32_t (&matrices)[4], const void* row) {
#ifdef __CUDACC__
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
                 : "r"(shared_address(row))
                 : "memory");
#else
    emulation::load_matrices(matrices, row, true);
#endif
}

// Begins to copy 16 aligned bytes to shared memory, of which the last 16 - `bytes` become zero.
__device__ __forceinline__ void copy_async(void* to, const void* from, int bytes = 16) {
#ifdef __CUDACC__
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"(shared_address(to)), "l"(__cvta_generic_to_global(from)), "r"(bytes)
                 : "memory");
#else
    emulation::copy_later(to, from, bytes);
#endif
}

// Makes a group of the copies that the thread began since its last one.
__device__ __forceinline__ void commit_copies() {
#ifdef __CUDACC__
    asm volatile("cp.async.commit_group;" ::: "memory");
#else
    emulation::commit_copies();
#endif
}

// Waits until no more than the `Pending` last groups of this thread are under way. Other threads' copies are
// there after a barrier that follows.
template <int Pending>
__device__ __forceinline__ void wait_copies() {
#ifdef __CUDACC__
    asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
#else
    emulation::wait_copies(Pending);
#endif
}

}  // namespace sluice::kernels::cuda
