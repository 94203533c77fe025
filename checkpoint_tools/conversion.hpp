// What sluice-shard and sluice-cast share: options, ranks, progress and the closing summary.
#pragma once

#include "checkpoint/convert.hpp"
#include "comm/communicator.hpp"

#include <filesystem>
#include <string>

namespace CLI {
class App;
}

namespace sluice {

struct ConversionRequest {
    std::filesystem::path input, output;
    ConvertOptions options;
    std::string memory = "4GiB";
    std::filesystem::path report;  // what quantising changed; empty: not written
    int threads = 0;               // 0: all processors that this process may use
};

// --input, --output, --slices, --threads, --memory, --sparse.
void add_conversion_options(CLI::App& app, ConversionRequest& request);

// All ranks together. Rank 0 tells; what quantising changed goes to standard output.
ExitCode run_conversion(Communicator& world, ConversionRequest request);

}  // namespace sluice
