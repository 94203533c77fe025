// Arrays that pass between the host and the operations, side by side in one block: one copy carries all.
#pragma once

#include "backend/ops.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice {

// An array as the host sees it, and as operations do: the same memory where these work on the host's.
template <class T>
struct Exchanged {
    std::span<T> host;
    T* here = nullptr;
};

class Exchange {
public:
    // `ops` must outlive it.
    explicit Exchange(const Ops& ops) : ops_(ops) {}

    // The bytes that an array takes in the block.
    template <class T>
    static constexpr std::size_t room_for(std::size_t count) {
        return (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    }

    // Begins anew, with room for `bytes`, when what was uploaded is there. Equal calls of place() then give
    // equal addresses as long as the block does not have to grow.
    void begin(std::size_t bytes);
    // How often it had to: as often on every rank, where all exchange the same.
    std::int64_t moves() const { return moves_; }
    // The next array, uninitialised.
    template <class T>
    Exchanged<T> place(std::size_t count) {
        const std::size_t at = claim(room_for<T>(count));
        return {{reinterpret_cast<T*>(host_ + at), count}, reinterpret_cast<T*>(here_ + at)};
    }

    // Values that operations only read, and that stay as they are until then: where they stand, if operations
    // work on the host's memory, else a copy in the block, which is the next array.
    template <class T>
    const T* lend(std::span<const T> values) {
        if (here_ == host_) return values.data();
        const Exchanged<T> array = place<T>(values.size());
        std::ranges::copy(values, array.host.begin());
        return array.here;
    }

    // All that was placed, at once.
    void upload();
    // Likewise; it is there when what is queued is done.
    void queue_download() const;

private:
    static constexpr std::size_t kAlignment = 64;

    std::size_t claim(std::size_t bytes);

    const Ops& ops_;
    Tensor block_;    // in the operations' memory
    Tensor staging_;  // in the host's; empty where that is the same
    std::byte* here_ = nullptr;
    std::byte* host_ = nullptr;
    std::size_t room_ = 0, used_ = 0;
    std::int64_t moves_ = 0;
    std::uint64_t uploaded_after_ = 0;  // so many of Ops::synchronizations()
    bool uploaded_ = false;
};

}  // namespace sluice
