// A small checkpoint loaded on a backend, run as tests want it.
#pragma once

#include "backend/ops.hpp"
#include "checkpoint/sluice_checkpoint.hpp"
#include "comm/communicator.hpp"
#include "comm/device_sums.hpp"
#include "engine/generator.hpp"
#include "model/decoder.hpp"
#include "model/kv_cache.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace sluice::test {

// A checkpoint that the build made from tests/data: "v3", "v3-1-slice", "v3-bf16", "v2", "wide".
std::filesystem::path built_checkpoint(const std::string& name);

// Links between the ranks' devices that operations work on.
using LinkDevices = std::function<std::unique_ptr<DeviceLinks>(Communicator&, const Ops&)>;

struct SmallModelOptions {
    kernels::Family family = kernels::Family::Cpu;
    Products gemm = Products::Bf16;
    DType kv_dtype = DType::BF16;
    int threads = 1;
    int rows = 640, logit_rows = 640, positions = 1024, pages = 64;
    LinkDevices links = {};  // null: none, they add by way of the host
};

// One rank's model.
class SmallModel {
public:
    SmallModel(const std::string& checkpoint, const SmallModelOptions& options, Communicator& ranks);
    SmallModel(std::unique_ptr<SluiceCheckpoint> checkpoint, const SmallModelOptions& options,
               Communicator& ranks);

    // The local logits [ids, local vocabulary] of a text run as one prompt from an empty cache, `chunk` rows
    // a step (0: all at once). The observer sees copies in the host's memory.
    std::vector<float> logits(std::span<const std::int32_t> ids, int chunk = 0,
                              StepObserver* observer = nullptr);
    // The greedy continuation, a token a step.
    std::vector<std::int32_t> greedy(std::span<const std::int32_t> ids, int tokens);

    Decoder& decoder() { return *decoder_; }
    DeviceSums& sums() { return *sums_; }
    KvCache& cache() { return *cache_; }
    const ModelConfig& config() const { return checkpoint_->config(); }
    SluiceCheckpoint& checkpoint() { return *checkpoint_; }
    const Ops& ops() const { return ops_; }
    std::int64_t local_vocabulary() const;

private:
    // Those of the step, when it is done.
    std::vector<float> run(const Step& step, StepObserver* observer);
    Step step_of(std::span<const std::int32_t> ids, int first, int count, bool all_logits) const;

    Communicator& ranks_;
    Ops ops_;
    std::unique_ptr<SluiceCheckpoint> checkpoint_;
    std::unique_ptr<DeviceSums> sums_;
    std::unique_ptr<Decoder> decoder_;
    std::unique_ptr<KvCache> cache_;
};

}  // namespace sluice::test
