// That the emulated runtime records as CUDA's does, and refuses what that refuses.
#include "kernels/cuda/launch.cuh"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace sluice::kernels::cuda {
namespace {

void add(int* to, const int* value) {
    join_stream();
    *to += *value;
}

class EmulationGraph : public testing::Test {
protected:
    EmulationGraph() {
        EXPECT_EQ(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), cudaSuccess);
        execution_.stream = stream_;
    }
    ~EmulationGraph() override {
        if (graph_ != nullptr) cudaGraphDestroy(graph_);
        cudaStreamDestroy(stream_);
    }
    void begin() const {
        ASSERT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    }
    cudaError_t end() { return cudaStreamEndCapture(stream_, &graph_); }

    cudaStream_t stream_ = nullptr;
    cudaGraph_t graph_ = nullptr;
    Execution execution_;
};

// Sizes and addresses are those of the recording, values those of the replay.
TEST_F(EmulationGraph, KeepsWhatIsQueuedAndDoesItWhenLaunched) {
    int sum = 0, copied = 0;
    begin();
    for (int value : {1, 2}) {
        int* const at = value == 1 ? &copied : &sum;
        launch(add, 1, 1, 0, execution_, &sum, static_cast<const int*>(at));
    }
    cudaMemcpyAsync(&copied, &sum, sizeof sum, cudaMemcpyDeviceToHost, stream_);
    ASSERT_EQ(end(), cudaSuccess);
    EXPECT_EQ(sum, 0);
    cudaGraphExec_t ready = nullptr;
    ASSERT_EQ(cudaGraphInstantiate(&ready, graph_, 0), cudaSuccess);
    copied = 3;
    cudaGraphLaunch(ready, stream_);
    EXPECT_EQ(sum, 6);
    cudaGraphLaunch(ready, stream_);
    EXPECT_EQ(sum, 24);
    EXPECT_EQ(copied, 24);
    cudaGraphExecDestroy(ready);
}

// In its turn of the stream, but not in the device's, or another thread would wait for good.
TEST_F(EmulationGraph, CallsTheHostInItsTurn) {
    struct Seen {
        int sum = 0, seen = 0;
    } values;
    const int three = 3;
    begin();
    launch(add, 1, 1, 0, execution_, &values.sum, &three);
    cudaLaunchHostFunc(
        stream_,
        [](void* data) {
            auto& at = *static_cast<Seen*>(data);
            at.seen = at.sum;
            std::thread([] { const emulation::DeviceTurn turn; }).join();
        },
        &values);
    launch(add, 1, 1, 0, execution_, &values.sum, &three);
    ASSERT_EQ(end(), cudaSuccess);
    EXPECT_EQ(values.seen, 0);
    cudaGraphExec_t ready = nullptr;
    ASSERT_EQ(cudaGraphInstantiate(&ready, graph_, 0), cudaSuccess);
    for (const int before : {0, 6}) {
        cudaGraphLaunch(ready, stream_);
        EXPECT_EQ(values.seen, before + 3);
        EXPECT_EQ(values.sum, before + 6);
    }
    cudaGraphExecDestroy(ready);
}

TEST_F(EmulationGraph, WaitingSpoilsIt) {
    begin();
    EXPECT_EQ(cudaStreamSynchronize(stream_), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph_, nullptr);
    EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
    begin();
    EXPECT_EQ(end(), cudaSuccess) << "the stream can be used again";
}

TEST_F(EmulationGraph, ClaimingMemorySpoilsIt) {
    void* memory = nullptr;
    ASSERT_EQ(cudaMalloc(&memory, 16), cudaSuccess);
    begin();
    EXPECT_EQ(cudaFree(memory), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated);
    begin();
    EXPECT_EQ(cudaMalloc(&memory, 16), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(end(), cudaErrorStreamCaptureInvalidated);
}

TEST_F(EmulationGraph, RefusesToRecordTheDefaultStreamOrTwice) {
    EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeThreadLocal),
              cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(end(), cudaErrorIllegalState);
    begin();
    EXPECT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), cudaErrorIllegalState);
    EXPECT_EQ(end(), cudaSuccess);
}

}  // namespace
}  // namespace sluice::kernels::cuda
