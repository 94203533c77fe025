// Slices of tensors in a known order, read and verified by threads of their own before they are asked for.
#pragma once

#include "checkpoint/sluice_checkpoint.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace sluice {

class ReadAhead {
public:
    struct Read {
        TensorSpec tensor;
        StoredPart part;
    };

    // Reads into a ring of `memory` bytes, claimed at once. Twice the memory_bytes() of all parts that its
    // user ever holds at a time, at least 64 for each of them, are enough, wherever in the ring they come to
    // lie. Where the system starts fewer than `threads`, these read; std::system_error when it starts none.
    ReadAhead(SluiceCheckpoint& checkpoint, std::vector<Read> reads, int threads, std::uint64_t memory);
    ReadAhead(const ReadAhead&) = delete;
    ReadAhead& operator=(const ReadAhead&) = delete;
    ~ReadAhead();  // ends the threads, wherever they are in the order

    // The next part, which must be of the tensor `name`. What reading it threw, it throws. The part may
    // outlive this object; its memory is read into again when the last copy goes. For one thread, which also
    // lets the parts go.
    TensorSlice next(const std::string& name);

    std::uint64_t bytes_taken() const { return bytes_taken_; }
    // How long next() had to wait, all told.
    double seconds_waited() const { return waited_; }

private:
    struct Work;

    void read_parts();  // what each thread does

    SluiceCheckpoint& checkpoint_;
    std::vector<Read> reads_;
    std::shared_ptr<Work> work_;
    std::size_t taken_ = 0;
    std::uint64_t bytes_taken_ = 0;
    double waited_ = 0;
    std::vector<std::jthread> threads_;
};

}  // namespace sluice
