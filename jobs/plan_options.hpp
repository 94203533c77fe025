// What the command line of sluice-plan says.
#pragma once

#include "core/dtype.hpp"
#include "engine/roofline.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace sluice {

struct PlanOptions {
    std::filesystem::path config;
    std::string dtype = "keep";  // keep, bf16, fp8 or int8
    int slices = 0;              // 0: choose

    int devices = 1, devices_per_node = 8;
    std::string device;  // a name of the table in plan_options.cpp, "cuda", "cpu", or empty
    std::string device_memory, bandwidth;
    double flops = 0;

    DType kv_dtype = DType::BF16;
    std::string kv_memory;
    int max_batch = 0, max_batch_tokens = 0;  // 0: chosen by the run from what steps cost
    int max_seq_len = 0;                      // 0: the model's
    std::vector<int> lengths{1024, 4096, 16384, 32768};
    std::vector<int> batches{1, 8, 64};
    int context = 4096;

    bool json = false;

    bool gpu() const { return !device.empty() && device != "cpu"; }
    std::uint64_t memory() const;              // of a device, in bytes
    std::optional<DeviceRates> rates() const;  // none unless both are known
};

void add_plan_options(CLI::App& app, PlanOptions& options);

// What no single option can tell: ExitCode::Usage.
void check_plan_options(const PlanOptions& options);

}  // namespace sluice
