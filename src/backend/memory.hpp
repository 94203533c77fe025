// Where tensors live. A device's memory comes with its backend (backend.hpp); the host's is here.
#pragma once

#include "core/tensor.hpp"

#include <cstddef>

namespace sluice {

class Memory {
public:
    virtual ~Memory() = default;
    virtual Place place() const = 0;
    // 64-byte aligned and zeroed; ExitCode::Internal naming the size when there is no room.
    virtual void* allocate(std::size_t bytes) = 0;
    virtual void release(void* data, std::size_t bytes) noexcept = 0;
};

Memory& host_memory();

// A dense tensor that owns its memory.
class Tensor {
public:
    Tensor() = default;
    Tensor(Memory& home, DType dtype, const Shape& shape);
    Tensor(Tensor&& other) noexcept;
    Tensor& operator=(Tensor&& other) noexcept;
    ~Tensor();

    View view() const { return view_; }
    std::size_t bytes() const;

private:
    Memory* home_ = nullptr;
    View view_;
};

}  // namespace sluice
