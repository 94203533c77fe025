#include "comm/device_sums.hpp"

#include "comm/rank_state.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

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
    LinkedSums(std::unique_ptr<DeviceLinks> links, std::unique_ptr<SumDevice> device)
        : device_(std::move(device)),
          links_(std::move(links)),
          size_(static_cast<std::size_t>(links_->size())) {
        if (size_ > 1) parts_ = device_->memory(room());
    }

    int ranks() const override { return static_cast<int>(size_); }
    bool can_be_recorded() const override { return size_ == 1 || links_->can_be_recorded(); }

    // Links may connect anew for calls of another kind or size: so there is one sum of each.
    void connect() override {
        if (size_ == 1) return;
        for (const std::size_t count : {kQuad, kSmallSum, kLinkedPiece / 2}) {
            begin();
            sum_piece(parts_ + room() - count, count);  // parts take less than the rest
            wait();
        }
    }

    // Queueing, too, waits for other ranks: when the queue is full, and when links are first used.
    void all_reduce_sum(float* inout, std::size_t count) override {
        if (size_ == 1) return;
        begin();
        for (std::size_t first = 0; first < count; first += kLinkedPiece) {
            sum_piece(inout + first, std::min(kLinkedPiece, count - first));
            note_progress();
        }
    }

    // As many collectives to the heartbeat on ranks that replay as on ranks that queue.
    void expect_replay() override {
        if (size_ > 1) begin();
    }

    void wait() override {
        begin();
        device_->wait();
        summing_.reset();
        counted_ = false;
    }

    void leave() override { summing_.reset(); }

private:
    std::size_t room() const { return std::max(kLinkedPiece, (size_ + 1) * kSmallSum); }

    // What a rank queues between two waits, other work included, is one collective to the heartbeat.
    void begin() {
        if (summing_) return;
        if (!std::exchange(counted_, true)) ++waits_;
        summing_.emplace("device sums", kDeviceGroup, waits_, 0, InCollective::Kind::Overlapped);
    }

    void sum_piece(float* inout, std::size_t count) {
        const std::size_t unit = kQuad * size_;
        const std::size_t shared = count > kSmallSum ? count / unit * unit : 0;
        if (shared > 0) sum_shares(inout, shared);
        if (count > shared) sum_whole(inout + shared, count - shared);
    }

    // Every rank sums everything.
    void sum_whole(float* inout, std::size_t count) {
        links_->all_gather(inout, parts_, count);
        device_->add_parts(parts_, links_->size(), count, inout);
    }

    // Every rank sums its share, and gives it to all.
    void sum_shares(float* inout, std::size_t count) {
        const std::size_t each = count / size_;
        float* const mine = inout + static_cast<std::size_t>(links_->rank()) * each;
        links_->exchange(inout, parts_, each);
        device_->add_parts(parts_, links_->size(), each, mine);
        links_->all_gather(mine, inout, each);
    }

    std::unique_ptr<SumDevice> device_;
    std::unique_ptr<DeviceLinks> links_;  // goes before the device's memory, which it may still use
    std::size_t size_;
    float* parts_ = nullptr;
    std::uint64_t waits_ = 0;
    bool counted_ = false;  // the wait that comes next
    std::optional<InCollective> summing_;
};

class StagedSums final : public DeviceSums {
public:
    StagedSums(Communicator& ranks, std::unique_ptr<SumDevice> device)
        : ranks_(ranks), device_(std::move(device)) {
        if (ranks.size() > 1) staging_ = device_->host_memory(2 * kStagedPiece);
    }

    int ranks() const override { return ranks_.size(); }
    bool can_be_recorded() const override { return ranks_.size() == 1; }

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
            device_->download(inout + piece * kStagedPiece, staging_of(piece), size_of(piece));
        };
        const auto upload = [&](std::size_t piece) {
            device_->upload(staging_of(piece), inout + piece * kStagedPiece, size_of(piece));
        };
        download(0);
        for (std::size_t piece = 0; piece < pieces; ++piece) {
            device_->wait();
            if (piece > 0) upload(piece - 1);
            if (piece + 1 < pieces) download(piece + 1);
            ranks_.all_reduce_sum({staging_of(piece), size_of(piece)});
        }
        upload(pieces - 1);
    }

    // Nobody waits for another rank here: that was done in the sums.
    void wait() override { device_->wait(); }

private:
    Communicator& ranks_;
    std::unique_ptr<SumDevice> device_;
    float* staging_ = nullptr;
};

class HostSums final : public DeviceSums {
public:
    explicit HostSums(Communicator& ranks) : ranks_(ranks) {}

    int ranks() const override { return ranks_.size(); }
    bool can_be_recorded() const override { return ranks_.size() == 1; }
    void all_reduce_sum(float* inout, std::size_t count) override {
        if (ranks_.size() > 1) ranks_.all_reduce_sum({inout, count});
    }
    void wait() override {}

private:
    Communicator& ranks_;
};

}  // namespace

std::unique_ptr<DeviceSums> make_linked_sums(std::unique_ptr<DeviceLinks> links,
                                             std::unique_ptr<SumDevice> device) {
    return std::make_unique<LinkedSums>(std::move(links), std::move(device));
}

std::unique_ptr<DeviceSums> make_staged_sums(Communicator& ranks, std::unique_ptr<SumDevice> device) {
    return std::make_unique<StagedSums>(ranks, std::move(device));
}

std::unique_ptr<DeviceSums> make_host_sums(Communicator& ranks) { return std::make_unique<HostSums>(ranks); }

}  // namespace sluice
