#include "kernels/cuda/run.hpp"
#include "kernels/kernel.hpp"
#include "kernels/tables/fits.hpp"

#include <array>
#include <vector>

namespace sluice::kernels {
namespace {

#ifdef SLUICE_WITH_CUDA
bool with_cuda_and_packed(const ExpertProductArgs& args, const Machine& machine) {
    return machine.cuda() && cuda::are_packed(args);
}
bool with_wgmma_and_packed(const ExpertProductArgs& args, const Machine& machine) {
    return machine.wgmma() && with_cuda_and_packed(args, machine);
}
#endif

// One job a touched expert.
template <Family family>
void run_jobs(const ExpertProductArgs& args, const Execution& execution) {
    thread_local std::vector<ProductJob> jobs;  // this thread's own, so that a step allocates none
    jobs.clear();
    for (std::size_t e = 0; e < args.experts.size(); ++e) {
        const std::int64_t first = args.offsets[e];
        ProductJob job;
        job.weight = args.experts[e].get();
        job.rows = args.offsets[e + 1] - first;
        if (job.rows == 0) continue;
        job.x = args.tokens != nullptr ? args.x : args.x + first * args.x_stride;
        job.x_stride = args.x_stride;
        job.gather = args.tokens != nullptr ? args.tokens + first : nullptr;
        job.out = args.out + first * args.out_stride;
        job.out_stride = args.out_stride;
        jobs.push_back(job);
    }
    const ProductArgs product{jobs, args.outputs, args.activation};
    choose(family, product, this_machine()).run(product, execution);
}

}  // namespace

template <>
std::span<const Kernel<ExpertProductArgs>> kernels<ExpertProductArgs>() {
    using Entry = Kernel<ExpertProductArgs>;
    static constexpr std::array table = {
#ifdef SLUICE_WITH_CUDA
        Entry{"cuda.wgmma", Family::Cuda, &with_wgmma_and_packed, &cuda::run_expert_product_wgmma,
              &cuda::expert_product_workspace},
        Entry{"cuda", Family::Cuda, &with_cuda_and_packed, &cuda::run_expert_product,
              &cuda::expert_product_workspace},
#endif
        Entry{"cpu", Family::Cpu, &anywhere, &run_jobs<Family::Cpu>},
        Entry{"reference", Family::Reference, &anywhere, &run_jobs<Family::Reference>},
    };
    return table;
}

}  // namespace sluice::kernels
