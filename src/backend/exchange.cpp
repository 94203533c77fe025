#include "backend/exchange.hpp"

#include "core/error.hpp"

#include <algorithm>

namespace sluice {

void Exchange::begin(std::size_t bytes) {
    if (uploaded_ && uploaded_after_ == ops_.synchronizations()) ops_.synchronize();
    used_ = 0;
    if (bytes <= room_) return;
    ops_.synchronize();  // operations may use the old block
    room_ = std::max(bytes, 2 * room_);
    ++moves_;
    const Shape shape{static_cast<std::int64_t>(room_)};
    block_ = Tensor(ops_.memory(), DType::U8, shape);
    here_ = host_ = block_.view().as<std::byte>();
    if (ops_.memory().place() == Place::Host) return;
    staging_ = Tensor(ops_.staging(), DType::U8, shape);
    host_ = staging_.view().as<std::byte>();
}

void Exchange::upload() {
    ops_.upload(host_, here_, used_);
    uploaded_ = true;
    uploaded_after_ = ops_.synchronizations();
}

void Exchange::queue_download() const { ops_.queue_download(here_, host_, used_); }

std::size_t Exchange::claim(std::size_t bytes) {
    expect(used_ + bytes <= room_, "an exchange of {} bytes with room for {}", used_ + bytes, room_);
    const std::size_t at = used_;
    used_ += bytes;
    return at;
}

}  // namespace sluice
