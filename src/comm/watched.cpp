#include "comm/communicator.hpp"
#include "comm/rank_state.hpp"

#include <cstdint>
#include <utility>

namespace sluice {
namespace {

class WatchedCommunicator final : public Communicator {
public:
    WatchedCommunicator(std::unique_ptr<Communicator> inner, std::uint32_t group)
        : inner_(std::move(inner)), group_(group) {}

    int rank() const override { return inner_->rank(); }
    int size() const override { return inner_->size(); }
    void all_reduce_sum(std::span<float> inout) override {
        const InCollective here("all_reduce_sum", group_, ++calls_, inout.size_bytes());
        inner_->all_reduce_sum(inout);
    }
    void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
        const InCollective here("all_gather", group_, ++calls_, mine.size());
        inner_->all_gather(mine, all);
    }
    void broadcast(std::span<std::byte> bytes, int root) override {
        const InCollective here("broadcast", group_, ++calls_, bytes.size());
        inner_->broadcast(bytes, root);
    }
    void barrier() override {
        const InCollective here("barrier", group_, ++calls_, 0);
        inner_->barrier();
    }
    std::unique_ptr<Communicator> split(int color, int key) override {
        const InCollective here("split", group_, ++calls_, 0);
        return std::make_unique<WatchedCommunicator>(inner_->split(color, key), group_of(color));
    }

private:
    void end_job(int code) override { inner_->abort(code); }

    // The same number on all ranks of the new group, and hardly another group's (FNV-1a).
    std::uint32_t group_of(int color) const {
        std::uint32_t hash = 2166136261U;
        for (const std::uint64_t part : {std::uint64_t{group_}, calls_, static_cast<std::uint64_t>(color)})
            hash = (hash ^ static_cast<std::uint32_t>(part)) * 16777619U;
        return hash;
    }

    std::unique_ptr<Communicator> inner_;
    std::uint32_t group_;  // 0: the world
    std::uint64_t calls_ = 0;
};

}  // namespace

std::unique_ptr<Communicator> make_watched(std::unique_ptr<Communicator> inner) {
    return std::make_unique<WatchedCommunicator>(std::move(inner), 0);
}

}  // namespace sluice
