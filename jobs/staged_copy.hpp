// A rank's part of a checkpoint, copied to a disk of its own machine before it is loaded.
#pragma once

#include "checkpoint/sluice_checkpoint.hpp"
#include "comm/communicator.hpp"
#include "comm/placement.hpp"
#include "model/shard.hpp"

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>

namespace sluice {

// The checkpoint `model` as copied to the folder of its id in `stage_dir`: this rank's slices, and common.h5
// by the machine's first rank. Files that are there in their full size are taken as they are; the others
// appear whole or not at all, and are copied once, however many ranks and jobs want them. Collective; all
// ranks agree on errors: ExitCode::File when there is no room, with the sum, or when copying fails;
// ExitCode::Checkpoint when the folder holds another checkpoint; ExitCode::Stopped on a signal.
std::unique_ptr<SluiceCheckpoint> stage(Communicator& world, const SluiceCheckpoint& checkpoint,
                                        const std::filesystem::path& model, const Shard& shard,
                                        const Placement& placement, const std::filesystem::path& stage_dir);

// What one rank is to copy.
struct StagingNeed {
    std::array<char, 64> machine{};  // its machine, as MachineRecord names it
    std::uint64_t bytes = 0;         // of the files
    std::uint64_t missing = 0;       // of them: room that they still take
};

// What `all` ranks of the machine of `mine` will copy must fit in the `room` bytes that are free in `folder`;
// else ExitCode::File, with the sum.
void require_room(std::span<const StagingNeed> all, const StagingNeed& mine, std::uint64_t room,
                  const std::filesystem::path& folder);

// Runs `work`; to a refusal of what it read (ExitCode::Checkpoint) adds that a copy is no loss.
void reading_copies(const std::function<void()>& work);

}  // namespace sluice
