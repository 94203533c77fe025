#include "backend/cuda_recording.hpp"

#include "kernels/cuda/check.cuh"

#include <utility>

#include <cuda_runtime_api.h>

namespace sluice {
namespace {

class Graph {
public:
    Graph() = default;
    Graph(const Graph&) = delete;
    Graph& operator=(const Graph&) = delete;
    ~Graph() {
        if (graph_ != nullptr) cudaGraphDestroy(graph_);
    }
    cudaGraph_t* address() { return &graph_; }
    cudaGraph_t get() const { return graph_; }

private:
    cudaGraph_t graph_ = nullptr;
};

// While it lives, the stream keeps what is queued. Other threads may do as they like: they claim memory.
class Capture {
public:
    explicit Capture(cudaStream_t stream) : stream_(stream) {
        SLUICE_CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    }
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;
    // Something failed: or else the stream would be of no use any more.
    ~Capture() {
        if (stream_ == nullptr) return;
        Graph unwanted;
        cudaStreamEndCapture(stream_, unwanted.address());
        cudaGetLastError();  // or the next check would find it
    }
    void finish(Graph& graph) {
        SLUICE_CUDA_CHECK(cudaStreamEndCapture(std::exchange(stream_, nullptr), graph.address()));
    }

private:
    cudaStream_t stream_;
};

class CudaRecording : public Recording {
public:
    CudaRecording(cudaStream_t stream, const Graph& graph) : stream_(stream) {
        SLUICE_CUDA_CHECK(cudaGraphInstantiate(&ready_, graph.get(), 0));
    }
    ~CudaRecording() override { cudaGraphExecDestroy(ready_); }  // after it has run, if it does

    void replay() const override { SLUICE_CUDA_CHECK(cudaGraphLaunch(ready_, stream_)); }

private:
    cudaStream_t stream_;
    cudaGraphExec_t ready_ = nullptr;
};

}  // namespace

std::unique_ptr<Recording> record_stream(void* stream, const std::function<void()>& queue) {
    Capture capture(static_cast<cudaStream_t>(stream));
    queue();
    Graph graph;
    capture.finish(graph);
    return std::make_unique<CudaRecording>(static_cast<cudaStream_t>(stream), graph);
}

}  // namespace sluice
