#include "backend/memory.hpp"

#include "core/error.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/mman.h>

namespace sluice {
namespace {

class HostMemory : public Memory {
public:
    Place place() const override { return Place::Host; }

    // Fresh pages are zero already, and come from the system when they are first touched: a large cache that
    // is used in part costs neither its memory nor the time to clear it, and each page lies near the thread
    // that fills it. Huge pages spare the address translation.
    void* allocate(std::size_t bytes) override {
        const std::size_t length = std::max<std::size_t>(bytes, 1);
        void* data = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        require(data != MAP_FAILED, ExitCode::Internal, "cannot allocate {:.2f} GiB: {}",
                static_cast<double>(bytes) / 0x1p30, std::strerror(errno));
        madvise(data, length, MADV_HUGEPAGE);
        return data;
    }

    void release(void* data, std::size_t bytes) noexcept override {
        munmap(data, std::max<std::size_t>(bytes, 1));
    }
};

}  // namespace

Memory& host_memory() {
    static HostMemory memory;
    return memory;
}

Tensor::Tensor(Memory& home, DType dtype, const Shape& shape) : home_(&home) {
    const std::size_t bytes = static_cast<std::size_t>(shape.elements()) * size_of(dtype);
    view_ = dense_view(home.allocate(bytes), dtype, shape, home.place());
}

Tensor::Tensor(Tensor&& other) noexcept
    : home_(std::exchange(other.home_, nullptr)), view_(std::exchange(other.view_, {})) {}

Tensor& Tensor::operator=(Tensor&& other) noexcept {
    std::swap(home_, other.home_);
    std::swap(view_, other.view_);
    return *this;
}

Tensor::~Tensor() {
    if (home_ != nullptr) home_->release(view_.data, bytes());
}

std::size_t Tensor::bytes() const {
    return static_cast<std::size_t>(view_.shape.elements()) * size_of(view_.dtype);
}

}  // namespace sluice
