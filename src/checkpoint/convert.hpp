// From a checkpoint in any format to a Sluice one, or to one in Hugging Face's layout: on several threads and
// ranks, in bounded memory, and continued after a kill.
#pragma once

#include "checkpoint/value_cast.hpp"
#include "core/error.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace sluice {

// What matrices become. Those that the source has in that type already stay as they are.
enum class StoredType : std::uint8_t {
    Keep,  // all as the source has them
    Bf16,
    Fp8,   // e4m3, a scale for each block of 128 x 128
    Int8,  // a scale for each output
};

enum class TargetFormat : std::uint8_t { Hdf5, Safetensors };

struct ConvertOptions {
    int slices = 0;  // of a Sluice checkpoint; 0: the source's if it is one, else default_slices
    StoredType type = StoredType::Keep;
    std::string tool{};  // for the provenance, "sluice-shard 0.1.0"
    TargetFormat format = TargetFormat::Hdf5;
    int threads = 1;
    std::uint64_t memory = std::uint64_t{4} << 30;      // of this process, at most
    std::uint64_t file_bytes = std::uint64_t{4} << 30;  // as SafetensorsPlan's
    bool holes = false;  // zeros take no room on disk, and so none is asked for before
};

struct QuantizedTensor {
    std::string name;
    QuantizationError error;
};

struct ConvertResult {
    std::string id;  // of a Sluice checkpoint
    int slices = 0, files = 0;
    std::uint64_t tensors = 0, bytes = 0;    // of tensors, as stored
    bool tokenizer = false;                  // the source had one
    std::vector<QuantizedTensor> quantized;  // those whose values were rounded to few bits
};

// Hears of the bytes of tensors done so far, of all that are this rank's; false asks for a stop once the
// tensors at work are finished. Called by one thread at a time.
using ConvertProgress = std::function<bool(std::uint64_t done, std::uint64_t total)>;

// The phases of a conversion by `ranks` processes that share a file system: every rank makes one, rank 0
// prepares, then every rank begins, works and flushes, then rank 0 finishes. All that they tell each other is
// in the folder TARGET.partial, where what is finished stays over a kill: the same conversion goes on from
// there, by any number of ranks, to the same bytes.
class Conversion {
public:
    // Opens the source and plans. ExitCode::Checkpoint for an input that is refused, ExitCode::Usage for
    // slices that some tensor does not allow, and for too little memory.
    Conversion(const std::filesystem::path& input, const std::filesystem::path& target,
               const ConvertOptions& options);
    ~Conversion();

    // Lays the target out, or finds it so. Returns the bytes of tensors that an earlier run finished; those
    // of them that are still right are not written again. ExitCode::File for a target that exists or cannot
    // be written, and for one that was begun by another conversion.
    std::uint64_t prepare();

    // Every rank, once rank 0 has prepared. `run` is a word that the ranks of this run have in common, and no
    // other run has. ExitCode::File also where this rank sees another source or target than rank 0.
    void begin(int rank, int ranks, const std::string& run);

    // ExitCode::Stopped when `progress` asked for it. A rank that fails makes the others end, too, without an
    // error of their own.
    void work(const ConvertProgress& progress);

    // Makes what this rank wrote durable: after work().
    void flush();

    // Makes all durable and gives the folder its name.
    ConvertResult finish();

    // Rank 0 calls it after an error on any rank. What was written stays for the next run, unless the source
    // was refused (ExitCode::Checkpoint): another one begins anew. A Sluice checkpoint may be restored.
    void stop(ExitCode why);

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

// All phases, on one rank.
ConvertResult convert_checkpoint(const std::filesystem::path& input, const std::filesystem::path& target,
                                 const ConvertOptions& options, const ConvertProgress& progress);

}  // namespace sluice
