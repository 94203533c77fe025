// Notes of which tensors of an unfinished checkpoint are finished. Each process appends to a file of its own,
// one line for a tensor.
#pragma once

#include "checkpoint/output_file.hpp"
#include "checkpoint/target.hpp"
#include "checkpoint/value_cast.hpp"

#include <cstddef>
#include <filesystem>
#include <mutex>
#include <vector>

namespace sluice {

struct FinishedTensor {
    std::size_t tensor = 0;  // its index in the plan
    std::vector<PartChecksums> parts;
    QuantizationError error;
};

class Journal {
public:
    // Goes on behind what an earlier process of this rank noted. ExitCode::File, here and below.
    Journal(const std::filesystem::path& folder, int rank);

    // Thread-safe. Noted for a process that dies, but not for a machine that does, until sync().
    void add(const FinishedTensor& finished);
    void sync();

private:
    std::mutex mutex_;
    OutputFile file_;
};

// What all ranks' journals in the folder say, in the order of tensors: each once, as its last line says.
// Lines that are cut short or altered do not count. ExitCode::File.
// Those of ranks below `ranks` must be there, and are looked for by name: a network's list of a folder may be
// old.
std::vector<FinishedTensor> read_journals(const std::filesystem::path& folder, int ranks = 0);

}  // namespace sluice
