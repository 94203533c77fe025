#include "bench/kernel_bench.hpp"
#include "kernels/cpu/memory.hpp"
#include "kernels/random.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <string>
#include <utility>

namespace sluice::bench {
namespace {

struct Heads {
    const char* name;
    std::int64_t heads, kv_heads, key_dim, value_dim;
    bool aliased;  // values are the keys' first columns
    DType dtype = DType::BF16;
    std::int64_t width() const { return kv_heads * (key_dim + (aliased ? 0 : value_dim)); }
};

// Every sequence's rows end at its context.
struct AttentionCase {
    Heads shape;
    std::int64_t sequences, rows, context;
    bool large = true;
    std::int64_t elements() const { return sequences * context * shape.width(); }
    std::string name() const {
        return fmt::format("{}:{}:{}{}/batch:{}/rows:{}/context:{}", shape.name, shape.heads, shape.kv_heads,
                           shape.dtype == DType::BF16 ? "" : ":fp8", sequences, rows, context);
    }
};

// A batch's pages in random order, over more memory than the caches hold where it is large, and its queries.
class AttentionCall {
public:
    explicit AttentionCall(const AttentionCase& load) {
        const Heads& heads = load.shape;
        const std::int64_t pages = (load.context + kPageTokens - 1) / kPageTokens;
        const std::int64_t elements = load.sequences * pages * kPageTokens * heads.width();
        memory_ = cpu::allocate_bytes(static_cast<std::size_t>(elements) * size_of(heads.dtype));
        fill(heads.dtype, elements);
        table_.resize(static_cast<std::size_t>(load.sequences * pages));
        std::iota(table_.begin(), table_.end(), 0);
        for (std::size_t i = table_.size(); i > 1; --i) std::swap(table_[i - 1], table_[mix64(i) % i]);
        for (std::int64_t s = 0; s < load.sequences; ++s)
            sequences_.push_back({s * load.rows, load.rows, load.context, table_.data() + s * pages, {}});
        q_.resize(static_cast<std::size_t>(load.sequences * load.rows * heads.heads * heads.key_dim));
        for (std::size_t i = 0; i < q_.size(); ++i) q_[i] = static_cast<float>(uniform(1, i) - 0.5);
        out_.resize(static_cast<std::size_t>(load.sequences * load.rows * heads.heads * heads.value_dim));
        args_.q = q_.data();
        args_.sequences = sequences_;
        args_.rows = load.sequences * load.rows;
        args_.most_context = load.context;
        const std::int64_t keys = heads.aliased ? 0 : heads.kv_heads * heads.key_dim;
        args_.page_dtype = heads.dtype;
        args_.keys = memory_.get();
        args_.values = memory_.get() + static_cast<std::size_t>(keys) * size_of(heads.dtype);
        args_.row_stride = heads.width();
        args_.page_stride = kPageTokens * heads.width();
        args_.key_head_stride = heads.key_dim;
        args_.value_head_stride = heads.value_dim;
        args_.heads = heads.heads;
        args_.kv_heads = heads.kv_heads;
        args_.key_dim = heads.key_dim;
        args_.value_dim = heads.value_dim;
        args_.scale = 0.1F;
        args_.out = out_.data();
    }
    const AttentionArgs& args() const { return args_; }

private:
    // Magnitudes of 2^-7 to 1; of codes, from 0 on.
    void fill(DType dtype, std::int64_t elements) {
        auto* halves = reinterpret_cast<bf16*>(memory_.get());
        auto* codes = reinterpret_cast<fp8*>(memory_.get());
        for (std::int64_t i = 0; i < elements; ++i) {
            const std::uint64_t random = mix64(static_cast<std::uint64_t>(i));
            if (dtype == DType::BF16)
                halves[i] = static_cast<bf16>(0x3c00U | (random & 0x83ffU));
            else
                codes[i] = static_cast<fp8>((random & 0x80U) | (random & 0x3fU) % 0x38U);
        }
    }

    cpu::Bytes memory_;
    std::vector<std::int32_t> table_;
    std::vector<SequenceRows> sequences_;
    std::vector<float> q_, out_;
    AttentionArgs args_;
};

// A row at position p sees p + 1 keys; a sequence's keys and values are read once.
Traffic traffic_of(const AttentionArgs& args) {
    Traffic traffic;
    for (const SequenceRows& sequence : args.sequences) {
        const auto seen = sequence.rows * sequence.context - sequence.rows * (sequence.rows - 1) / 2;
        traffic.flops += 2 * static_cast<double>(seen * args.heads * (args.key_dim + args.value_dim));
        traffic.bytes += static_cast<double>(size_of(args.page_dtype)) *
                         static_cast<double>(sequence.context * args.row_stride);
    }
    return traffic;
}

std::vector<AttentionCase> attention_cases() {
    const Heads mla = {"mla", 16, 1, 576, 512, true}, wide_mla = {"mla", 128, 1, 576, 512, true};
    const Heads gqa3 = {"gqa", 12, 4, 128, 128, false}, gqa4 = {"gqa", 8, 2, 128, 128, false};
    const Heads gqa8 = {"gqa", 64, 8, 128, 128, false};
    const Heads mla_fp8 = {"mla", 16, 1, 576, 512, true, DType::F8E4M3};
    const Heads gqa3_fp8 = {"gqa", 12, 4, 128, 128, false, DType::F8E4M3};
    const Heads gqa8_fp8 = {"gqa", 64, 8, 128, 128, false, DType::F8E4M3};
    std::vector<AttentionCase> cases = {{mla, 2, 1, 100, false},
                                        {gqa3, 2, 1, 100, false},
                                        {gqa3, 1, 70, 70, false},
                                        {mla_fp8, 2, 1, 100, false}};
    const std::pair<Heads, std::vector<std::array<std::int64_t, 3>>> lists[] = {
        {mla,
         {{64, 1, 128},
          {1, 1, 4096},
          {16, 1, 1024},
          {64, 1, 1024},
          {16, 1, 4096},
          {1, 512, 512},
          {1, 512, 4096}}},
        {wide_mla, {{16, 1, 1024}}},
        {gqa3, {{64, 1, 128}, {1, 1, 4096}, {64, 1, 1024}, {16, 1, 4096}, {1, 512, 512}, {1, 512, 4096}}},
        {gqa4, {{64, 1, 1024}, {16, 1, 4096}, {1, 512, 512}}},
        {gqa8, {{16, 1, 1024}, {16, 1, 4096}, {1, 512, 512}}},
        {mla_fp8, {{64, 1, 128}, {16, 1, 1024}, {64, 1, 1024}, {1, 512, 512}}},
        {gqa3_fp8, {{64, 1, 1024}, {1, 512, 512}}},
        {gqa8_fp8, {{16, 1, 1024}, {1, 512, 512}}},
    };
    for (const auto& [heads, loads] : lists)
        for (const auto& [sequences, rows, context] : loads)
            cases.push_back({heads, sequences, rows, context});
    return cases;
}

// Values lie among the keys.
AttentionArgs on_device(const AttentionArgs& args, DeviceArrays& arrays) {
    AttentionArgs there = args;
    std::vector<SequenceRows> sequences(args.sequences.begin(), args.sequences.end());
    std::int32_t last = 0;
    for (SequenceRows& sequence : sequences) {
        const std::int64_t pages = (sequence.context + kPageTokens - 1) / kPageTokens;
        last = std::max(last, *std::max_element(sequence.pages, sequence.pages + pages));
        sequence.pages = arrays.of(sequence.pages, pages);
    }
    const auto *keys = static_cast<const std::byte*>(args.keys),
               *values = static_cast<const std::byte*>(args.values);
    const std::byte* const there_keys =
        arrays.of(keys, (last + 1) * args.page_stride * static_cast<std::int64_t>(size_of(args.page_dtype)));
    there.q = arrays.of(args.q, args.rows * args.heads * args.key_dim);
    there.sequences = arrays.of(arrays.keep(std::move(sequences)));
    there.keys = there_keys;
    there.values = there_keys + (values - keys);
    there.out = arrays.of(args.out, args.rows * args.heads * args.value_dim);
    return there;
}

const Measure<AttentionArgs> measure{traffic_of, on_device};
const bool known = register_cases<AttentionCall>("attention", attention_cases(), measure);
// A decoding batch on one GPU and on one of eight, and prompts.
const bool known_v3 = register_v3<AttentionCall>(
    "attention",
    std::vector<AttentionCase>{{{"mla", 128, 1, 576, 512, true}, 128, 1, 4096},
                               {{"mla", 16, 1, 576, 512, true}, 128, 1, 4096},
                               {{"mla", 128, 1, 576, 512, true, DType::F8E4M3}, 128, 1, 4096},
                               {{"mla", 128, 1, 576, 512, true}, 1, 1024, 4096}},
    measure);

}  // namespace
}  // namespace sluice::bench
