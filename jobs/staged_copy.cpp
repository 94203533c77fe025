#include "jobs/staged_copy.hpp"

#include "checkpoint/layout.hpp"
#include "comm/collectives.hpp"
#include "comm/rank_state.hpp"
#include "core/error.hpp"
#include "core/log.hpp"
#include "core/units.hpp"
#include "jobs/file_copy.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace sluice {
namespace {

namespace fs = std::filesystem;

std::vector<FileCopy> missing_copies(const fs::path& model, const Shard& shard, bool common,
                                     const fs::path& folder) {
    std::vector<std::string> names;
    if (common) names.push_back(checkpoint_file_name(kCommonIndex, shard.slices));
    for (int slice = shard.first(); slice < shard.first() + shard.count(); ++slice)
        names.push_back(checkpoint_file_name(slice, shard.slices));
    std::vector<FileCopy> missing;
    for (const std::string& name : names) {
        std::error_code problem;
        FileCopy copy{model / name, folder / name, fs::file_size(model / name, problem)};
        require(!problem, ExitCode::File, "cannot read {}: {}", (model / name).string(), problem.message());
        if (!copy.is_there()) missing.push_back(std::move(copy));
    }
    return missing;
}

}  // namespace

void require_room(std::span<const StagingNeed> all, const StagingNeed& mine, std::uint64_t room,
                  const fs::path& folder) {
    std::uint64_t sum = 0;
    int ranks = 0;
    for (const StagingNeed& need : all) {
        if (need.machine != mine.machine || need.missing == 0) continue;
        sum += need.missing;
        ++ranks;
    }
    require(sum <= room, ExitCode::File,
            "--stage-dir: {} are to be copied to {} ({} for this rank, {}), where {} is free",
            bytes_text(sum), folder.string(), bytes_text(mine.missing),
            ranks == 1 ? "1 rank copies" : fmt::format("{} ranks copy", ranks), bytes_text(room));
}

std::unique_ptr<SluiceCheckpoint> stage(Communicator& world, const SluiceCheckpoint& checkpoint,
                                        const fs::path& model, const Shard& shard, const Placement& placement,
                                        const fs::path& stage_dir) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    const fs::path folder = stage_dir / checkpoint.id();
    const char* const phase = "copying the checkpoint";
    const Activity activity(phase);
    std::vector<FileCopy> copies;
    StagingNeed need{this_machine().machine};
    std::uint64_t room = 0;
    run_together(world, phase, [&] {
        std::error_code problem;
        fs::create_directories(folder, problem);
        require(!problem, ExitCode::File, "--stage-dir: cannot make {}: {}", folder.string(),
                problem.message());
        room = fs::space(folder, problem).available;  // before another job takes more, and less is missing
        require(!problem, ExitCode::File, "--stage-dir: {}: {}", folder.string(), problem.message());
        copies = missing_copies(model, shard, placement.local_rank == 0, folder);
        for (const FileCopy& copy : copies) {
            need.bytes += copy.bytes;
            need.missing += copy.missing();
        }
    });
    const std::vector<StagingNeed> needs = gather_values(world, need);
    std::unique_ptr<SluiceCheckpoint> staged;
    run_together(world, phase, [&] {
        require_room(needs, need, room, folder);
        for (const FileCopy& copy : copies) make(copy);
    });
    run_together(world, phase, [&] {
        reading_copies([&] {
            staged = open_sluice_checkpoint(folder, Range{shard.first(), shard.first() + shard.count()});
            require(staged->id() == checkpoint.id(), ExitCode::Checkpoint,
                    "{} holds the checkpoint {}, expected {}", folder.string(), staged->id(),
                    checkpoint.id());
        });
    });
    std::uint64_t copied = 0;
    for (const StagingNeed& one : needs) copied += one.bytes;
    if (world.rank() == 0) {
        log_info("copied {} to {} in {}; what was there already is used as it is", bytes_text(copied),
                 folder.string(), duration_text(std::chrono::duration<double>(Clock::now() - start).count()));
    }
    return staged;
}

void reading_copies(const std::function<void()>& work) {
    try {
        work();
    } catch (const Error& problem) {
        if (problem.code() != ExitCode::Checkpoint) throw;
        fail(ExitCode::Checkpoint, "{} (a copy made for --stage-dir: remove it, and it is made again)",
             problem.what());
    }
}

}  // namespace sluice
