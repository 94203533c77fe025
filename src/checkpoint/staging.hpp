// A folder that appears under its name only when whole.
//
// Work happens in NAME.partial beside NAME:
//
//     NAME.partial/lock    locked by the process that is at work: the system unlocks it when that ends
//     NAME.partial/files/  what NAME will be
//     NAME.partial/...     notes of the work, under any other name but "removed": NAME will not have them
//
// A commit makes the files durable, renames `files` to NAME, and removes the rest. So a kill before the
// rename leaves all of the work with all of its notes, and one after it the whole NAME beside some notes:
// NAME holds no foreign file at any time. A NAME.partial without `files` is nothing to go on from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

namespace sluice {

struct StagingPaths {
    std::filesystem::path root;   // NAME.partial; notes go there
    std::filesystem::path files;  // NAME.partial/files
};

// For the processes beside the one that has the StagedFolder.
StagingPaths staging_paths(const std::filesystem::path& target);

// What to do about the work of a process that died.
enum class Leftover : std::uint8_t {
    Remove,    // with a warning; and remove what this one does without a commit
    Continue,  // go on from it; and leave what this one does without a commit to the next
};

class StagedFolder {
public:
    // ExitCode::File when the target exists, its parent does not, another process is writing it, or what
    // stands at NAME.partial was not made here.
    StagedFolder(const std::filesystem::path& target, Leftover leftover);
    StagedFolder(const StagedFolder&) = delete;
    StagedFolder& operator=(const StagedFolder&) = delete;
    ~StagedFolder();

    const std::filesystem::path& path() const { return paths_.files; }
    const std::filesystem::path& notes() const { return paths_.root; }

    // There is work to go on from.
    bool continued() const { return continued_; }

    // ExitCode::File when the filesystem has no room for files of so many bytes, with those that are there.
    void require_space(std::uint64_t bytes) const;

    // Removes what there is to go on from: it was another work.
    void start_over();

    // Without a commit, nothing is left.
    void discard() { leftover_ = Leftover::Remove; }

    // Makes the files durable and gives them their name; what is left beside goes away with this object.
    // ExitCode::File; the work is still there then.
    void commit();

private:
    class Lock;

    void clear() const;
    void remove_notes();
    void make_files() const;

    std::filesystem::path target_;
    StagingPaths paths_;
    Leftover leftover_;
    std::unique_ptr<Lock> lock_;
    bool continued_ = false;
};

}  // namespace sluice
