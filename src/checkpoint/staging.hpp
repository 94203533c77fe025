// A folder that appears under its name only when whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace sluice {

// Work happens in NAME.partial-HOST-PID beside the target; commit() makes everything durable and renames it.
// Without a commit the folder goes away. What a killed run of this host left behind is told about and
// removed.
class StagedFolder {
public:
    // ExitCode::File when the target exists, its parent does not, or another run is writing it.
    explicit StagedFolder(const std::filesystem::path& target);
    StagedFolder(const StagedFolder&) = delete;
    StagedFolder& operator=(const StagedFolder&) = delete;
    ~StagedFolder();

    const std::filesystem::path& path() const { return partial_; }
    const std::filesystem::path& target() const { return target_; }

    // ExitCode::File when the filesystem has less room than this.
    void require_space(std::uint64_t bytes) const;

    void commit();

private:
    void clear_leftovers() const;

    std::filesystem::path target_, partial_;
    bool committed_ = false;
};

}  // namespace sluice
