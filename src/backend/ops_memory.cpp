// What Ops has to do with memory; its operations are in ops.cpp.
#include "backend/ops.hpp"
#include "core/error.hpp"

#include <algorithm>

namespace sluice {

Ops::Ops(kernels::Family family, int threads, OpClock* clock, int device)
    : family_(family),
      backend_(make_backend(family, device)),
      execution_{threads, backend_->stream()},
      timer_(clock != nullptr ? backend_->timer(*clock) : nullptr) {
    expect(threads >= 1, "{} threads", threads);
}

void Ops::upload(const void* from, void* to, std::size_t bytes) const {
    if (from == to || bytes == 0) return;
    expect_running("an upload");
    backend_->upload(from, to, bytes);
}

void Ops::download(const void* from, void* to, std::size_t bytes) const {
    queue_download(from, to, bytes);
    synchronize();
}

void Ops::queue_download(const void* from, void* to, std::size_t bytes) const {
    expect_running("a download");
    if (from != to && bytes > 0) backend_->download(from, to, bytes);
}

void Ops::synchronize() const {
    expect_running("waiting for the device");
    kernels::synchronize(family_, execution_);
    ++synchronizations_;
    if (timer_) timer_->settle();
}

std::unique_ptr<Recording> Ops::record(const std::function<void()>& queue) const {
    expect(can_record(), "these operations cannot be recorded");
    expect_running("a recording");
    struct Mark {
        explicit Mark(bool& set) : mark(set) { mark = true; }
        ~Mark() { mark = false; }
        bool& mark;
    };
    const Mark mark(records_);
    return backend_->record(queue);
}

Tensor Ops::filled(DType dtype, const Shape& shape, const std::function<void(View)>& fill) const {
    Tensor tensor(memory(), dtype, shape);
    if (memory().place() == Place::Host) {
        fill(tensor.view());
        return tensor;
    }
    const Tensor source(host_memory(), dtype, shape);
    fill(source.view());
    upload(source.view().data, tensor.view().data, tensor.bytes());
    synchronize();
    return tensor;
}

void Ops::expect_running(std::string_view what) const {
    expect(!records_, "{} cannot be recorded with a step's operations", what);
}

void Ops::check_place(std::string_view op, std::initializer_list<ConstView> views) const {
    for (const ConstView& view : views)
        expect(view.place == memory().place(), "{}: an array lies where the operation cannot reach it", op);
}

void Ops::claim_workspace(std::size_t bytes) const {
    if (bytes == 0 || (workspace_.view().data != nullptr && workspace_.bytes() >= bytes)) return;
    expect_running("claiming scratch memory");
    synchronize();
    workspace_ = {};
    workspace_ = Tensor(memory(), DType::U8, {static_cast<std::int64_t>(bytes)});
}

// Operations share it, for they run one after another.
kernels::Execution Ops::with_workspace(std::size_t bytes) const {
    kernels::Execution execution = execution_;
    if (bytes == 0) return execution;
    most_needed_ = std::max(most_needed_, bytes);
    claim_workspace(bytes);
    execution.workspace = workspace_.view().data;
    execution.workspace_bytes = workspace_.bytes();
    return execution;
}

}  // namespace sluice
