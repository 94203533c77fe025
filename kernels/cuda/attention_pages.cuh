// The keys and values of a page in shared memory, as bfloat16. Pages of bfloat16 are copied there, one while
// another is worked on if there is room for two. Of pages of e4m3 the codes are copied meanwhile, and become
// bfloat16 when their turn comes; where there is no room for them, or rows are not aligned, each is read when
// the one before is done.
#pragma once

#include "kernels/cuda/attention_load.cuh"
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/mma.cuh"

#include <cuda_runtime.h>

#include <cstdint>

namespace sluice::kernels::cuda {

template <class Tile>
class AttentionPages {
    using Element = typename Tile::Element;
    static constexpr bool kCodes = sizeof(Element) == 1;

public:
    __device__ AttentionPages(const AttentionCall& call, int kv_head, bf16* memory)
        : call_(call),
          keys_(static_cast<const Element*>(call.args.keys) + kv_head * call.args.key_head_stride),
          values_(static_cast<const Element*>(call.args.values) + kv_head * call.args.value_head_stride),
          stages_(memory),
          codes_(reinterpret_cast<fp8*>(memory + call.stages * stage_elements<Tile>(call))) {}

    // Where a block's shared memory goes on.
    __device__ bf16* end() const {
        return reinterpret_cast<bf16*>(codes_ + (call_.staged ? page_codes<Tile>(call_) : 0));
    }

    // Whether a page can be loaded while the one before is worked on.
    __device__ bool ahead() const { return kCodes || call_.stages > 1; }

    // Begins to load the first `count` positions of page `number` of all as a sequence's page `page`.
    __device__ void load(std::int64_t number, int page, int count) {
        const std::int64_t at = number * call_.args.page_stride;
        if constexpr (kCodes) {
            at_ = at;
            count_ = count;
            if (!call_.staged) return;
            copy(keys_ + at, call_.args.key_dim, codes_, call_.key_pitch);
            if (!call_.aliased) copy(values_ + at, call_.args.value_dim, value_codes(), Tile::kColumns);
        } else {
            bf16* stage = stages_ + stage_of(page) * stage_elements<Tile>(call_);
            load_rows<Tile::kThreads>(keys_ + at, call_.args.row_stride, static_cast<int>(call_.args.key_dim),
                                      count, call_.whole_rows, stage, call_.key_pitch);
            if (!call_.aliased) {
                load_rows<Tile::kThreads>(values_ + at, call_.args.row_stride,
                                          static_cast<int>(call_.args.value_dim), count, call_.whole_rows,
                                          stage + kPageTokens * call_.key_pitch, Tile::kColumns);
            }
        }
        commit_copies();
    }

    // Has the page that was loaded last in its place, for all threads together; none works on the one before
    // any more.
    __device__ void settle() const {
        wait_copies<0>();
        __syncthreads();
        if constexpr (kCodes) {
            expand(keys_ + at_, call_.args.key_dim, codes_, stages_, call_.key_pitch);
            if (!call_.aliased) {
                expand(values_ + at_, call_.args.value_dim, value_codes(),
                       stages_ + kPageTokens * call_.key_pitch, Tile::kColumns);
            }
            __syncthreads();
        }
    }

    __device__ const bf16* keys(int page) const {
        return stages_ + stage_of(page) * stage_elements<Tile>(call_);
    }
    __device__ const bf16* values(int page) const {
        return keys(page) + (call_.aliased ? 0 : kPageTokens * call_.key_pitch);
    }
    __device__ int value_pitch() const { return call_.aliased ? call_.key_pitch : Tile::kColumns; }

private:
    __device__ int stage_of(int page) const { return call_.stages > 1 ? page & 1 : 0; }
    __device__ fp8* value_codes() const { return codes_ + kPageTokens * code_pitch(call_.key_pitch); }

    __device__ void copy(const fp8* from, std::int64_t width, fp8* codes, int pitch) const {
        copy_codes<Tile::kThreads>(from, call_.args.row_stride, static_cast<int>(width), count_, codes,
                                   code_pitch(pitch));
    }
    __device__ void expand(const fp8* from, std::int64_t width, const fp8* codes, bf16* to, int pitch) const {
        if (call_.staged)
            load_rows<Tile::kThreads>(codes, code_pitch(pitch), pitch, kPageTokens, true, to, pitch);
        else
            load_rows<Tile::kThreads>(from, call_.args.row_stride, static_cast<int>(width), count_,
                                      call_.whole_rows, to, pitch);
    }

    const AttentionCall& call_;
    const Element *const keys_, *const values_;
    bf16* const stages_;
    fp8* const codes_;
    // Of the page of codes that was loaded last.
    std::int64_t at_ = 0;
    int count_ = 0;
};

}  // namespace sluice::kernels::cuda
