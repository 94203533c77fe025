// Points in a stream, for the time that operations take on the GPU itself.
#pragma once

#include <memory>

namespace sluice::kernels::cuda {

// Of the device that the calling thread uses.
class Event {
public:
    Event();
    // It is reached when everything that is in the stream (Execution::stream) has been done.
    void record(void* stream);
    // Returns when it is reached.
    void wait() const;
    // Seconds since `start` was reached, to half a microsecond. Both have been.
    double seconds_since(const Event& start) const;

private:
    struct Destroy {
        void operator()(void* event) const;
    };
    std::unique_ptr<void, Destroy> event_;
};

}  // namespace sluice::kernels::cuda
