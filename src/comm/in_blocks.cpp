// Sums over machines: first among the ranks of each, which are near, then between machines.
#include "comm/shared_sums.hpp"
#include "comm/tree_sum.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <utility>
#include <vector>

namespace sluice {
namespace {

// A block of a power of two of neighbouring ranks is a whole subtree of the tree of sums, and the blocks
// are the leaves of what is left of it. So the bits are those of the ranks' own tree.
class BlockCommunicator final : public Communicator {
public:
    BlockCommunicator(std::unique_ptr<Communicator> messages, int block)
        : messages_(std::move(messages)),
          within_(messages_->split(messages_->rank() / block, messages_->rank())),
          between_(messages_->split(messages_->rank() % block, messages_->rank())) {}

    int rank() const override { return messages_->rank(); }
    int size() const override { return messages_->size(); }

    // Each rank of a block sums one share with its counterparts in the other blocks.
    void all_reduce_sum(std::span<float> inout) override {
        within_->all_reduce_sum(inout);
        const auto ranks = static_cast<std::size_t>(within_->size());
        const std::size_t each = (inout.size() + ranks - 1) / ranks;
        const std::size_t first = std::min(inout.size(), each * static_cast<std::size_t>(within_->rank()));
        const std::size_t count = std::min(each, inout.size() - first);
        mine_.resize(each);
        all_.resize(each * ranks);
        std::ranges::copy(inout.subspan(first, count), mine_.begin());
        between_->all_reduce_sum(mine_);
        within_->all_gather(std::as_bytes(std::span(mine_)), std::as_writable_bytes(std::span(all_)));
        std::copy_n(all_.begin(), inout.size(), inout.begin());
    }

    void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
        messages_->all_gather(mine, all);
    }
    void broadcast(std::span<std::byte> bytes, int root) override { messages_->broadcast(bytes, root); }
    void barrier() override { messages_->barrier(); }
    std::unique_ptr<Communicator> split(int color, int key) override { return messages_->split(color, key); }

private:
    void end_job(int code) override { messages_->abort(code); }

    std::unique_ptr<Communicator> messages_, within_, between_;
    std::vector<float> mine_, all_;
};

}  // namespace

std::unique_ptr<Communicator> make_in_blocks(std::unique_ptr<Communicator> messages, int block) {
    expect(block > 0 && std::has_single_bit(static_cast<unsigned>(block)) && messages->size() % block == 0,
           "blocks of {} among {} ranks", block, messages->size());
    return std::make_unique<BlockCommunicator>(std::move(messages), block);
}

}  // namespace sluice
