// Attention of one tile over its positions, page by page under a running greatest score, as the CPU's does.
// Queries and weights are rounded to bfloat16, products are the tensor cores', scores and sums float32; a
// total is of the rounded weights, so that they sum to one.
//
// A page's three steps are cut among the warps in their own ways and meet in shared memory: scores, weights
// (which need every warp's greatest score), and values (which need every warp's weights). The next page is
// copied meanwhile. After each chunk the sums meet those of the chunks before: in the output itself where the
// block takes all chunks, or else in the workspace, for merge_chunks() to finish.
#pragma once

#include "kernels/cuda/attention_load.cuh"
#include "kernels/cuda/attention_pages.cuh"
#include "kernels/cuda/attention_tile.cuh"
#include "kernels/cuda/attention_values.cuh"
#include "kernels/cuda/mma.cuh"

#include <cmath>

namespace sluice::kernels::cuda {

template <class Tile>
class Attend {
public:
    // `memory` as shared_bytes() says; `slots` are the tile's for the kv head, one a chunk.
    __device__ Attend(const AttentionCall& call, const TilePlace& place, int kv_head, bf16* memory,
                      float* slots)
        : call_(call),
          sequence_(call.args.sequences.data()[place.sequence]),
          pages_(call, kv_head, memory),
          queries_(pages_.end()),
          weights_(queries_ + Tile::kPairs * call.key_pitch),
          shared_(*reinterpret_cast<typename Tile::Shared*>(weights_ + Tile::kPairs * kPageTokens)),
          slots_(slots) {
        const int rows = static_cast<int>(sequence_.rows), pairs = rows * call.group;
        const int end = min(place.first_pair + Tile::kPairs, pairs);
        first_position_ = static_cast<int>(sequence_.context) - rows;
        last_ = first_position_ + (end - 1) / call.group;
        if (thread_ < Tile::kPairs) {
            const int pair = place.first_pair + thread_, row = min(pair, pairs - 1) / call.group;
            const int head = kv_head * call.group + pair - row * call.group;
            shared_.position[thread_] = first_position_ + row;
            shared_.place[thread_] =
                pair < pairs ? (static_cast<int>(sequence_.first_row) + row) * heads() + head : -1;
        }
        __syncthreads();
    }

    // Chunks from `chunk` up to the last one that some pair sees, or that one alone.
    __device__ void run(int chunk) {
        const int pages = last_ / kPageTokens + 1, first = chunk * Tile::kChunkPages;
        const int end = call_.split ? min(pages, first + Tile::kChunkPages) : pages;
        if (first >= end) return;
        next_page_ = sequence_.pages[first];
        load(first, end);
        load_queries<Tile>(call_, shared_.place, queries_);
        for (int page = first; page < end; ++page) {
            pages_.settle();
            if (pages_.ahead() && page + 1 < end) load(page + 1, end);
            start_ = page * kPageTokens;
            score(page);
            __syncthreads();
            weigh();
            __syncthreads();
            add_page(pages_.values(page));
            if (page + 1 == end || (page + 1) % Tile::kChunkPages == 0) finish(page / Tile::kChunkPages);
            if (!pages_.ahead() && page + 1 < end) {
                __syncthreads();
                load(page + 1, end);
            }
        }
    }

private:
    static constexpr int kKeyGroups = Tile::kKeyGroups, kEights = Tile::kEights;
    static constexpr int kPairBlocks = Tile::kPairBlocks;

    __device__ int heads() const { return static_cast<int>(call_.args.heads); }

    // Begins to load a page. The number of the next one is fetched meanwhile.
    __device__ void load(int page, int end) {
        const int start = page * kPageTokens;
        pages_.load(next_page_, page, min(kPageTokens, last_ + 1 - start));
        if (page + 1 < end) next_page_ = sequence_.pages[page + 1];
        if (thread_ < kPageTokens) {
            const auto& masked = sequence_.masked;
            const bool mine =
                !masked.empty() && is_masked(masked.data(), static_cast<int>(masked.size()), start + thread_);
            const unsigned word = __ballot_sync(kAllLanes, mine);
            if (lane_ == 0) shared_.masked[page & 1][warp_] = word;
        }
    }

    // The pairs that this thread has of its warp's sixteen scored ones: `half` 0 or 1.
    __device__ int scored_pair(int half) const { return warp_ / Tile::kKeyWarps * 16 + lane_ / 4 + 8 * half; }
    __device__ int first_group() const { return warp_ % Tile::kKeyWarps * kKeyGroups; }

    // Scores of the page as the softmax takes them, -infinity for what a pair does not see; and the warp's
    // greatest of each pair.
    __device__ void score(int page) {
        const bf16* keys = pages_.keys(page);
#pragma unroll
        for (int i = 0; i < 2 * kKeyGroups; ++i) {
#pragma unroll
            for (int j = 0; j < 4; ++j) scores_[i][j] = 0;
        }
        const int query_row = warp_ / Tile::kKeyWarps * 16 + lane_ % 16;
        const int key_row = first_group() * 16 + lane_ % 8 + lane_ / 16 * 8;
#pragma unroll 4
        for (int step = 0; step < call_.key_steps; ++step) {
            std::uint32_t query[4];
            load_matrices(query, queries_ + swizzled(query_row, 2 * step + lane_ / 16, call_.key_pitch));
#pragma unroll
            for (int i = 0; i < kKeyGroups; ++i) {
                std::uint32_t key[4];
                load_matrices(key,
                              keys + swizzled(key_row + 16 * i, 2 * step + lane_ / 8 % 2, call_.key_pitch));
                mma_bf16(scores_[2 * i], query, {key[0], key[1]});
                mma_bf16(scores_[2 * i + 1], query, {key[2], key[3]});
            }
        }
        // The warp's positions lie in one word.
        const std::uint32_t masked = shared_.masked[page & 1][first_group() / 2];
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int seen = shared_.position[scored_pair(half)] - start_ + 1;
            float most = -INFINITY;
#pragma unroll
            for (int i = 0; i < 2 * kKeyGroups; ++i) {
#pragma unroll
                for (int j = 0; j < 2; ++j) {
                    const int place = first_group() * 16 + 8 * i + lane_ % 4 * 2 + j;
                    float& s = scores_[i][2 * half + j];
                    s = capped(s * call_.args.scale);
                    if ((masked >> place % 32 & 1U) != 0) s = kMaskedScore;
                    if (place >= seen) s = -INFINITY;
                    most = fmaxf(most, s);
                }
            }
            most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 1));
            most = fmaxf(most, __shfl_xor_sync(kAllLanes, most, 2));
            if (lane_ % 4 == 0) shared_.most[warp_ % Tile::kKeyWarps][scored_pair(half)] = most;
        }
    }

    // cap * tanh(s / cap); its error is small beside cap.
    __device__ float capped(float s) const {
        const float cap = call_.args.softcap;
        if (cap <= 0) return s;
        return cap - __fdividef(2 * cap, __expf(s * call_.two_by_cap) + 1);
    }

    // The greatest score of a pair, of the page and of those before it.
    __device__ float most_of(int pair, float before) const {
        float most = before;
#pragma unroll
        for (int w = 0; w < Tile::kKeyWarps; ++w) most = fmaxf(most, shared_.most[w][pair]);
        return most;
    }
    // What scores are taken relative to: a pair that has seen nothing yet has no greatest one.
    __device__ static float base_of(float most) { return most == -INFINITY ? 0.0F : most; }

    // The page's weights and, by groups of positions, their sums; the same whatever the tile's size.
    __device__ void weigh() {
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const int pair = scored_pair(half);
            scored_most_[half] = most_of(pair, scored_most_[half]);
            const float base = base_of(scored_most_[half]);
#pragma unroll
            for (int i = 0; i < kKeyGroups; ++i) {
                float sums[2];
#pragma unroll
                for (int j = 0; j < 2; ++j) {
                    const float* s = scores_[2 * i + j] + 2 * half;
                    const std::uint32_t bits = pack_bf16(__expf(s[0] - base), __expf(s[1] - base));
                    const int eight = (first_group() + i) * 2 + j;
                    *reinterpret_cast<std::uint32_t*>(weights_ + swizzled(pair, eight, kPageTokens) +
                                                      lane_ % 4 * 2) = bits;
                    sums[j] = low_bf16(bits) + high_bf16(bits);
                }
                float sum = sums[0] + sums[1];
                sum += __shfl_xor_sync(kAllLanes, sum, 1);
                sum += __shfl_xor_sync(kAllLanes, sum, 2);
                if (lane_ % 4 == 0) shared_.sums[first_group() + i][pair] = sum;
            }
        }
        if (thread_ < Tile::kPairs) {
            const float before = most_;
            most_ = most_of(thread_, before);
            shared_.factor[thread_] = __expf(before - base_of(most_));
        }
    }

    // The first of this warp's pairs and columns of values.
    __device__ int first_pair() const { return warp_ / Tile::kColumnWarps * kPairBlocks * 16; }
    __device__ int first_column() const { return warp_ % Tile::kColumnWarps * kEights * 8; }
    // The pair of one of the thread's sums.
    __device__ int summed_pair(int block, int half) const {
        return first_pair() + 16 * block + 8 * half + lane_ / 4;
    }

    // Brings totals and sums up to the page.
    __device__ void add_page(const bf16* values) {
        if (thread_ < Tile::kPairs) {
            const auto& sums = shared_.sums;
            total_ = __fmaf_rn(total_, shared_.factor[thread_],
                               (sums[0][thread_] + sums[1][thread_]) + (sums[2][thread_] + sums[3][thread_]));
        }
        rescale();
        const int count = min(kPageTokens, last_ + 1 - start_);
        bool alike = true;  // all pairs see all that is there
#pragma unroll
        for (int m = 0; m < kPairBlocks; ++m)
            alike = alike && shared_.position[first_pair() + 16 * m] - start_ + 1 >= count;
        const bool whole = call_.args.value_dim == Tile::kColumns;
        const WeightedValues<Tile> step{weights_ + first_pair() * kPageTokens,
                                        shared_.position + first_pair(),
                                        values,
                                        pages_.value_pitch(),
                                        first_column(),
                                        static_cast<int>(call_.args.value_dim),
                                        start_,
                                        count};
        if (alike && whole)
            step.template add<true, true>(sums_);
        else if (alike)
            step.template add<true, false>(sums_);
        else
            step.template add<false, false>(sums_);
    }

    __device__ void rescale() {
        float factor[kPairBlocks][2];
        bool same = true;
#pragma unroll
        for (int m = 0; m < kPairBlocks; ++m) {
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                factor[m][half] = shared_.factor[summed_pair(m, half)];
                same = same && factor[m][half] == 1.0F;
            }
        }
        if (__all_sync(kAllLanes, same)) return;
#pragma unroll
        for (int m = 0; m < kPairBlocks; ++m) {
#pragma unroll
            for (int n = 0; n < kEights; ++n) {
#pragma unroll
                for (int j = 0; j < 4; ++j) sums_[m][n][j] *= factor[m][j / 2];
            }
        }
    }

    // A chunk is summed: its sums meet the earlier ones', and the next one begins anew.
    __device__ void finish(int chunk) {
        const int start = chunk * Tile::kChunkPages * kPageTokens,
                  end = start + Tile::kChunkPages * kPageTokens;
        const bool apart = call_.split && last_ >= Tile::kChunkPages * kPageTokens;  // there are other chunks
        float* slot = slots_ + static_cast<std::int64_t>(chunk) * Tile::kSlot;
        if (thread_ < Tile::kPairs && shared_.position[thread_] >= start) {
            if (apart) {
                slot[Tile::kPairs * Tile::kColumns + thread_] = most_;
                slot[Tile::kPairs * (Tile::kColumns + 1) + thread_] = total_;
            } else {
                const Meeting meeting = chunk == 0 ? Meeting{most_, 0, 1} : meet(all_most_, most_);
                all_most_ = meeting.most;
                all_total_ = met(meeting, all_total_, total_);
                shared_.sums[0][thread_] = meeting.earlier;
                shared_.sums[1][thread_] = meeting.later;
                shared_.sums[2][thread_] = all_total_;
            }
        }
        most_ = -INFINITY;
        total_ = 0;
        scored_most_[0] = scored_most_[1] = -INFINITY;
        __syncthreads();
#pragma unroll
        for (int m = 0; m < kPairBlocks; ++m) {
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                const int pair = summed_pair(m, half);
                const int position = shared_.position[pair];
                const bool seen = shared_.place[pair] >= 0 && position >= start;
                const Meeting meeting{0, shared_.sums[0][pair], shared_.sums[1][pair]};
                const float total = position < end ? shared_.sums[2][pair] : 1.0F;
#pragma unroll
                for (int n = 0; n < kEights; ++n) {
                    float& first = sums_[m][n][2 * half];
                    float& second = sums_[m][n][2 * half + 1];
                    const int column = first_column() + 8 * n + lane_ % 4 * 2;
                    if (seen && apart)
                        *reinterpret_cast<float2*>(slot + pair * Tile::kColumns + column) =
                            make_float2(first, second);
                    else if (seen)
                        put_two(call_, shared_.place[pair], column, chunk > 0, meeting, total, first, second);
                    first = second = 0;
                }
            }
        }
    }

    const AttentionCall& call_;
    const SequenceRows sequence_;
    const int thread_ = static_cast<int>(threadIdx.x), lane_ = lane_of_thread(), warp_ = warp_of_thread();
    AttentionPages<Tile> pages_;
    bf16 *const queries_, *const weights_;
    typename Tile::Shared& shared_;
    float* const slots_;
    int first_position_ = 0, last_ = 0;  // of the sequence's rows; that the tile sees
    int start_ = 0;                      // of the page
    std::int64_t next_page_ = 0;

    float scores_[2 * kKeyGroups][4];
    float scored_most_[2] = {-INFINITY, -INFINITY};
    float sums_[kPairBlocks][kEights][4] = {};
    // Of pair number thread_: in the chunk, and in all.
    float most_ = -INFINITY, total_ = 0, all_most_ = 0, all_total_ = 0;
};

}  // namespace sluice::kernels::cuda
