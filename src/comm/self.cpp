#include "comm/communicator.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace sluice {
namespace {

class SelfCommunicator final : public Communicator {
public:
    int rank() const override { return 0; }
    int size() const override { return 1; }
    void all_reduce_sum(std::span<float>) override {}
    void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override {
        expect(all.size() == mine.size(), "all_gather of {} bytes over 1 rank into {} bytes", mine.size(),
               all.size());
        std::ranges::copy(mine, all.begin());
    }
    void broadcast(std::span<std::byte>, int root) override {
        expect(root == 0, "broadcast from rank {} of 1", root);
    }
    void barrier() override {}
    std::unique_ptr<Communicator> split(int color, int) override {
        expect(color >= 0, "split with color {}", color);
        return make_self();
    }

private:
    void end_job(int code) override {
        std::fflush(nullptr);
        std::_Exit(code);
    }
};

}  // namespace

std::unique_ptr<Communicator> make_self() { return std::make_unique<SelfCommunicator>(); }

}  // namespace sluice
