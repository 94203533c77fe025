// One file, copied whole or not at all, by one of all the jobs that want it.
#pragma once

#include <cstdint>
#include <filesystem>

namespace sluice {

struct FileCopy {
    std::filesystem::path from, to;
    std::uint64_t bytes = 0;  // of the whole file

    // Whether it is there in its full size.
    bool is_there() const;
    // As it is called while it is made.
    std::filesystem::path partial() const { return to.string() + ".part"; }
    // Bytes of room that it still takes: what another job has copied by now, or an interrupted one left, is
    // written over.
    std::uint64_t missing() const;
};

// Copies the file, and gives it its name when its content is on the disk. Waits for another job that copies
// it. Errors: ExitCode::File when it cannot be copied or locked; ExitCode::Stopped on a signal
// (stop_signal()).
void make(const FileCopy& copy);

}  // namespace sluice
