#include "comm/device_sums.hpp"

#include "comm/rank_state.hpp"

#include <algorithm>
#include <cstdint>

namespace sluice {
namespace {

// Sums go through in pieces, for which there is room.
constexpr std::size_t kLinkedPiece = std::size_t{1} << 22;
constexpr std::size_t kStagedPiece = std::size_t{1} << 18;
// Up to here, fewer messages beat fewer bytes.
constexpr std::size_t kSmallSum = std::size_t{1} << 15;
// Shares are of whole quads, as devices like their addresses.
constexpr std::size_t kQuad = 4;

// What ranks wait for, to the heartbeat: the same on all, and the number of no group (comm/watched.cpp) but
// by a rare chance.
constexpr std::uint32_t kDeviceGroup = 0x5d3c5d3c;

class LinkedSums final : public DeviceSums {
public:
    LinkedSums(DeviceLinks& links, SumDevice& device)
        : links_(links), device_(device), size_(static_cast<std::size_t>(links.size())) {
        if (size_ > 1) parts_ = device.memory(std::max(kLinkedPiece, size_ * kSmallSum));
    }

    void all_reduce_sum(float* inout, std::size_t count) override {
        if (size_ == 1) return;
        for (std::size_t first = 0; first < count; first += kLinkedPiece)
            sum_piece(inout + first, std::min(kLinkedPiece, count - first));
        bytes_ += count * sizeof(float);
    }

    void wait() override {
        const InCollective here("device sums", kDeviceGroup, ++waits_, bytes_);
        device_.wait();
        bytes_ = 0;
    }

private:
    void sum_piece(float* inout, std::size_t count) {
        const std::size_t unit = kQuad * size_;
        const std::size_t shared = count > kSmallSum ? count / unit * unit : 0;
        if (shared > 0) sum_shares(inout, shared);
        if (count > shared) sum_whole(inout + shared, count - shared);
    }

    // Every rank sums everything.
    void sum_whole(float* inout, std::size_t count) {
        links_.all_gather(inout, parts_, count);
        device_.add_parts(parts_, links_.size(), count, inout);
    }

    // Every rank sums its share, and gives it to all.
    void sum_shares(float* inout, std::size_t count) {
        const std::size_t each = count / size_;
        float* const mine = inout + static_cast<std::size_t>(links_.rank()) * each;
        links_.exchange(inout, parts_, each);
        device_.add_parts(parts_, links_.size(), each, mine);
        links_.all_gather(mine, inout, each);
    }

    DeviceLinks& links_;
    SumDevice& device_;
    std::size_t size_;
    float* parts_ = nullptr;
    std::uint64_t waits_ = 0;
    std::size_t bytes_ = 0;  // queued since the last wait
};

class StagedSums final : public DeviceSums {
public:
    StagedSums(Communicator& ranks, SumDevice& device) : ranks_(ranks), device_(device) {
        if (ranks.size() > 1) staging_ = device.host_memory(2 * kStagedPiece);
    }

    // While the host sums a piece, the one before goes back and the next one comes. Two stagings do: the next
    // piece's download waits in the queue for the upload from the same one.
    void all_reduce_sum(float* inout, std::size_t count) override {
        if (ranks_.size() == 1 || count == 0) return;
        const std::size_t pieces = (count + kStagedPiece - 1) / kStagedPiece;
        const auto size_of = [&](std::size_t piece) {
            return std::min(kStagedPiece, count - piece * kStagedPiece);
        };
        const auto staging_of = [&](std::size_t piece) { return staging_ + piece % 2 * kStagedPiece; };
        const auto download = [&](std::size_t piece) {
            device_.download(inout + piece * kStagedPiece, staging_of(piece), size_of(piece));
        };
        const auto upload = [&](std::size_t piece) {
            device_.upload(staging_of(piece), inout + piece * kStagedPiece, size_of(piece));
        };
        download(0);
        for (std::size_t piece = 0; piece < pieces; ++piece) {
            device_.wait();
            if (piece > 0) upload(piece - 1);
            if (piece + 1 < pieces) download(piece + 1);
            ranks_.all_reduce_sum({staging_of(piece), size_of(piece)});
        }
        upload(pieces - 1);
    }

    // Nobody waits for another rank here: that was done in the sums.
    void wait() override { device_.wait(); }

private:
    Communicator& ranks_;
    SumDevice& device_;
    float* staging_ = nullptr;
};

}  // namespace

std::unique_ptr<DeviceSums> make_linked_sums(DeviceLinks& links, SumDevice& device) {
    return std::make_unique<LinkedSums>(links, device);
}

std::unique_ptr<DeviceSums> make_staged_sums(Communicator& ranks, SumDevice& device) {
    return std::make_unique<StagedSums>(ranks, device);
}

}  // namespace sluice
