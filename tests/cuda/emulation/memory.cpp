#include "cuda/emulation/memory.hpp"

#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>

#include <sys/mman.h>

namespace sluice::emulation {
namespace {

constexpr std::size_t kAligned = 256;
constexpr std::size_t kClaim = std::size_t{2} << 20;
constexpr std::size_t kPage = std::size_t{2} << 20;   // a huge one: every turn goes through all of them
constexpr std::size_t kRoom = std::size_t{16} << 30;  // of addresses: pages come when they are touched

// Given out from the beginning to the end; what is freed is only counted, and stays out of reach. A test
// program does not use it up.
class DeviceMemory {
public:
    DeviceMemory() {
        void* room =
            mmap(nullptr, kRoom + kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (room == MAP_FAILED) throw std::runtime_error("no addresses for the device's memory");
        std::size_t addresses = kRoom + kPage;
        begin_ = static_cast<std::byte*>(std::align(kPage, kRoom, room, addresses));
        madvise(begin_, kRoom, MADV_HUGEPAGE);
    }

    void* allocate(std::size_t bytes) {
        const std::size_t whole = (bytes + kAligned - 1) / kAligned * kAligned;
        if (whole > kRoom - used_) return nullptr;
        std::byte* const data = begin_ + used_;
        used_ += whole;
        allow(true);
        std::memset(data, 0xff, whole);
        allow(false);
        claimed_ += claims_[data] = claim_of(whole);
        return data;
    }

    void free(void* data) {
        const auto found = claims_.find(data);
        if (found == claims_.end()) return;
        claimed_ -= found->second;
        claims_.erase(found);
    }

    std::size_t claimed() const { return claimed_; }

    void allow(bool reach) {
        const std::size_t whole = (used_ + kPage - 1) / kPage * kPage;
        if (whole > 0 && mprotect(begin_, whole, reach ? PROT_READ | PROT_WRITE : PROT_NONE) != 0)
            throw std::runtime_error("the device's memory cannot be protected");
    }

private:
    static std::size_t claim_of(std::size_t bytes) {
        return bytes < kClaim / 2 ? bytes : (bytes + kClaim - 1) / kClaim * kClaim;
    }

    std::byte* begin_ = nullptr;
    std::size_t used_ = 0;
    std::map<void*, std::size_t> claims_;
    std::size_t claimed_ = 0;
};

DeviceMemory& device_memory() {
    static auto* const memory = new DeviceMemory;  // for good: programs free some at their very end
    return *memory;
}

std::mutex one_at_a_time;

}  // namespace

void* allocate_on_device(std::size_t bytes) {
    const std::lock_guard lock(one_at_a_time);
    return device_memory().allocate(bytes);
}

void free_on_device(void* memory) {
    const std::lock_guard lock(one_at_a_time);
    device_memory().free(memory);
}

std::size_t claimed_on_device() {
    const std::lock_guard lock(one_at_a_time);
    return device_memory().claimed();
}

DeviceTurn::DeviceTurn() : lock_(one_at_a_time) { device_memory().allow(true); }
DeviceTurn::~DeviceTurn() { device_memory().allow(false); }

}  // namespace sluice::emulation
