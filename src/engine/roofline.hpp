// The least time that a step can take on a rank: what it must read, over the bandwidth, or what it must
// compute, over the peak, whichever is longer (the roofline model, doi:10.1145/1498765.1498785).
#pragma once

#include "model/config.hpp"
#include "model/shard.hpp"
#include "model/step.hpp"
#include "model/weights.hpp"

namespace sluice {

// What one step asks of one rank.
struct StepWork {
    double bytes = 0, flops = 0;
};

struct StepTime {
    double seconds = 0;
    bool memory_bound = false;  // reading takes longer than computing
};

// Of a device: bytes and floating-point operations a second.
struct DeviceRates {
    double bandwidth = 0, flops = 0;
};

class Roofline {
public:
    Roofline(const ModelConfig& config, const Shard& shard, const WeightBytes& weights, DType kv_dtype);

    // A step as it is planned. Bytes: all weights but the embedding, the output matrix where no logits are
    // wanted, and the experts that no token chose; every sequence's cache up to its last token, once. With E
    // experts of which a token chooses k, all as likely, b tokens choose E (1 - (1 - k/E)^b) of them.
    // Operations: two for each weight that a token multiplies with, and attention's for each key that it
    // sees.
    StepWork of(const Step& step) const;
    // A token each for `batch` sequences of `context` tokens.
    StepWork decode(double batch, double context) const;
    // `rows` tokens of prompts of `length`, whose attention reaches back length / 2 on average. A prompt's
    // cache is read once a step, however many of its tokens are in it; logits are of no account.
    StepWork prefill(double rows, double length) const;

private:
    // `logits`: rows whose logits are wanted; `keys`: read by attention; `pairs`: of a token and a key.
    StepWork rows(double count, double logits, double keys, double pairs) const;

    double dense_bytes_, head_bytes_, expert_bytes_, kv_bytes_;  // kv: of a token
    double chosen_ = 0;                                          // k/E
    double layer_flops_ = 0, head_flops_ = 0;                    // of a token
    double attention_flops_ = 0;                                 // of a token and a key
};

StepTime least_time(const StepWork& work, const DeviceRates& rates);

}  // namespace sluice
