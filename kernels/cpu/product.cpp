// Cuts jobs into tasks and shares them among threads; the arithmetic is in product_kernel.hpp.
#include "kernels/cpu/product.hpp"

#include "kernels/cpu/pack.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cpu/product_isa.hpp"

#include <algorithm>
#include <bit>
#include <vector>

namespace sluice::kernels::cpu {
namespace {

// Which set multiplies: float32 products have no bfloat16 instruction to use.
struct Level {
    const ProductIsa* products;
    const ProductIsa* float_products;
};

struct JobPlan {
    const ProductJob* job = nullptr;
    const CpuWeight* weight = nullptr;
    const ProductIsa* isa = nullptr;
    float* out = nullptr;  // the job's, or where its outputs wait for their gate
    std::int64_t out_stride = 0;
    std::byte* x = nullptr;  // converted: [rows][row_bytes]
    std::int64_t row_bytes = 0;
    float* x_scales = nullptr;  // [rows][blocks]
    std::int64_t first_row = 0;
};

struct Tile {
    int plan = 0;
    int segment = 0, segments = 1;
    std::int64_t first_panel = 0, panels = 0, first_row = 0, rows = 0;
};

struct Plan {
    std::vector<JobPlan> jobs;
    std::vector<Tile> tiles;
    std::int64_t rows = 0;
    std::int64_t widest_row = 0;  // columns
    Outputs outputs = Outputs::Plain;
    Activation activation = Activation::Silu;
    Scratch x;
};

// Both halves of a gated weight begin with a panel of their own, so that a tile has a gate beside what it
// gates.
bool gates_panels(const PackedWeight& weight) { return weight.rows % (2 * kPanel) == 0; }

constexpr std::int64_t round_up(std::int64_t bytes) { return (bytes + 63) / 64 * 64; }

// An odd number of cache lines, so that the rows of a tile do not all fall in the same cache set.
std::int64_t row_bytes(const CpuWeight& weight, std::int64_t x_bytes) {
    return (round_up(weight.pairs * 2 * x_bytes) / 64 | 1) * 64;
}

std::int64_t x_bytes(const JobPlan& job) { return job.job->rows * job.row_bytes; }

// Of outputs that are gated afterwards.
std::int64_t ungated_bytes(const JobPlan& job, Outputs outputs) {
    const bool later = outputs == Outputs::Gated && !gates_panels(*job.weight);
    return later ? round_up(job.job->rows * job.weight->rows * 4) : 0;
}

std::int64_t scale_bytes(const JobPlan& job) {
    return job.weight->products == Products::Fp8 ? round_up(job.job->rows * job.weight->blocks * 4) : 0;
}

std::int64_t scratch_bytes(const JobPlan& job, Outputs outputs) {
    return x_bytes(job) + scale_bytes(job) + ungated_bytes(job, outputs);
}

void plan_jobs(Plan& plan, const ProductArgs& args, const Level& level) {
    plan.jobs.clear();
    plan.rows = plan.widest_row = 0;
    plan.outputs = args.outputs;
    plan.activation = args.activation;
    std::int64_t bytes = 0;
    for (const ProductJob& job : args.jobs) {
        if (job.rows == 0) continue;
        JobPlan entry;
        entry.job = &job;
        entry.weight = static_cast<const CpuWeight*>(job.weight);
        entry.isa = entry.weight->products == Products::F32 ? level.float_products : level.products;
        entry.row_bytes = row_bytes(*entry.weight, entry.isa->x_bytes);
        entry.first_row = plan.rows;
        plan.rows += job.rows;
        plan.widest_row = std::max(plan.widest_row, entry.weight->cols);
        bytes += scratch_bytes(entry, args.outputs);
        plan.jobs.push_back(entry);
    }
    std::byte* memory = plan.x.at_least(static_cast<std::size_t>(bytes));
    for (JobPlan& job : plan.jobs) {
        job.x = memory;
        memory += x_bytes(job);
        job.x_scales = scale_bytes(job) == 0 ? nullptr : reinterpret_cast<float*>(memory);
        memory += scale_bytes(job);
        const std::int64_t ungated = ungated_bytes(job, args.outputs);
        job.out = ungated == 0 ? job.job->out : reinterpret_cast<float*>(memory);
        job.out_stride = ungated == 0 ? job.job->out_stride : job.weight->rows;
        memory += ungated;
    }
}

// Whether a tile has a gate's panels and those they gate.
bool gates_here(const Plan& plan, const JobPlan& job) {
    return plan.outputs == Outputs::Gated && gates_panels(*job.weight);
}

// What is cut into tiles: panels of one segment, or of all that are added.
struct Cut {
    std::int64_t panels = 0;
    int runs = 1, segments = 1;  // `runs` times `segments` segments
};

Cut cut_of(const Plan& plan, const JobPlan& job) {
    const CpuWeight& weight = *job.weight;
    if (plan.outputs == Outputs::SummedSegments) return {weight.panels, 1, weight.segments};
    return {gates_here(plan, job) ? weight.panels / 2 : weight.panels, weight.segments, 1};
}

// Tiles as large as leave every thread several to take, so that all end together.
void plan_tiles(Plan& plan, int threads) {
    std::int64_t panels = 0;
    for (const JobPlan& job : plan.jobs) {
        const Cut cut = cut_of(plan, job);
        panels += cut.panels * cut.runs * ((job.job->rows + kTileRows - 1) / kTileRows);
    }
    std::int64_t width = kTilePanels;
    while (width > 1 && threads > 1 && panels / width < 4 * threads) width /= 2;
    plan.tiles.clear();
    for (std::size_t j = 0; j < plan.jobs.size(); ++j) {
        const JobPlan& job = plan.jobs[j];
        const Cut cut = cut_of(plan, job);
        for (int run = 0; run < cut.runs; ++run) {
            for (std::int64_t p = 0; p < cut.panels; p += width) {
                for (std::int64_t r = 0; r < job.job->rows; r += kTileRows) {
                    plan.tiles.push_back({static_cast<int>(j), run * cut.segments, cut.segments, p,
                                          std::min(width, cut.panels - p), r,
                                          std::min(kTileRows, job.job->rows - r)});
                }
            }
        }
    }
}

// Slots of totals that a tile needs at most.
std::int64_t slots(const Plan& plan) {
    int segments = 1;
    for (const Tile& tile : plan.tiles) segments = std::max(segments, tile.segments);
    const int deep = std::bit_width(static_cast<unsigned>(segments - 1)) + 1;
    return std::max(deep, plan.outputs == Outputs::Gated ? 2 : 1);
}

RowForm form_of(Products products) {
    return products == Products::Bf16  ? RowForm::Bf16
           : products == Products::Fp8 ? RowForm::Fp8
                                       : RowForm::F32;
}

void convert(const Plan& plan, std::int64_t number) {
    const auto after = std::upper_bound(plan.jobs.begin(), plan.jobs.end(), number,
                                        [](std::int64_t n, const JobPlan& job) { return n < job.first_row; });
    const JobPlan& job = *(after - 1);
    const CpuWeight& weight = *job.weight;
    const std::int64_t row = number - job.first_row;
    const std::int64_t from = job.job->gather == nullptr ? row : job.job->gather[row];
    const std::int64_t after_row = row + 1 < job.job->rows ? row + 1 : row;
    const std::int64_t from_next = job.job->gather == nullptr ? after_row : job.job->gather[after_row];
    for (const Segment& segment : weight.segment) {
        const float* next = job.job->x + from_next * job.job->x_stride + segment.first_col;
        RowTask task;
        task.segment = &segment;
        task.form = form_of(weight.products);
        task.power_of_two_scales = weight.power_of_two_scales;
        task.x = job.job->x + from * job.job->x_stride + segment.first_col;
        task.next_x = next;
        task.out = job.x + row * job.row_bytes + segment.first_pair * 2 * job.isa->x_bytes;
        if (job.x_scales != nullptr) task.scales = job.x_scales + row * weight.blocks + segment.first_block;
        job.isa->convert(task);
    }
}

// Where a tile begins to read.
const Segment& first_segment(const Plan& plan, const Tile& tile) {
    const CpuWeight& weight = *plan.jobs[static_cast<std::size_t>(tile.plan)].weight;
    return weight.segment[static_cast<std::size_t>(tile.segment)];
}

void multiply(const Plan& plan, std::size_t number, void* scratch) {
    const Tile& tile = plan.tiles[number];
    const JobPlan& job = plan.jobs[static_cast<std::size_t>(tile.plan)];
    const CpuWeight& weight = *job.weight;
    TileTask task;
    task.segment = &first_segment(plan, tile);
    task.segments = tile.segments;
    if (gates_here(plan, job)) task.gated_panels = weight.panels / 2;
    task.activation = plan.activation;
    task.format = weight.format;
    task.first_panel = tile.first_panel;
    task.panels = tile.panels;
    task.columns = weight.rows;
    task.x_stride = job.row_bytes / job.isa->x_bytes;
    task.x = job.x + tile.first_row * job.row_bytes;
    task.x_scale_stride = weight.blocks;
    if (job.x_scales != nullptr) task.x_scales = job.x_scales + tile.first_row * weight.blocks;
    task.rows = tile.rows;
    task.out = job.out + tile.segment * job.job->segment_stride + tile.first_row * job.out_stride;
    task.out_stride = job.out_stride;
    task.scratch = scratch;
    if (number + 1 < plan.tiles.size()) {
        const Tile& next = plan.tiles[number + 1];
        task.after = &first_segment(plan, next);
        task.after_panel = next.first_panel;
        task.after_panels = next.panels;
    }
    job.isa->multiply(task);
}

// What could not be gated within tiles.
void gate_later(const Plan& plan, int threads) {
    if (plan.outputs != Outputs::Gated) return;
    for (const JobPlan& job : plan.jobs) {
        if (gates_here(plan, job)) continue;
        const std::int64_t width = job.weight->rows / 2;
        over_rows(job.job->rows, 2 * width, threads, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t row = begin; row < end; ++row) {
                job.isa->gate(plan.activation, job.out + row * job.out_stride, width,
                              job.job->out + row * job.job->out_stride);
            }
        });
    }
}

void run(const ProductArgs& args, const Execution& execution, const Level& level) {
    thread_local Plan mine;  // each calling thread's own; the teams below borrow it
    Plan& plan = mine;
    plan_jobs(plan, args, level);
    plan_tiles(plan, execution.threads);
    over_rows(plan.rows, plan.widest_row, execution.threads, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) convert(plan, row);
    });
    const auto scratch = static_cast<std::size_t>(kTotalsAt + slots(plan) * kTotals) * sizeof(float);
    over_neighbours(static_cast<std::int64_t>(plan.tiles.size()), execution.threads, [&](std::int64_t i) {
        thread_local Scratch own;
        multiply(plan, static_cast<std::size_t>(i), own.at_least(scratch));
    });
    gate_later(plan, execution.threads);
}

bool fits(const ProductArgs& args, bool level) {
    return level && std::all_of(args.jobs.begin(), args.jobs.end(), [](const ProductJob& job) {
               return dynamic_cast<const CpuWeight*>(job.weight) != nullptr;
           });
}

}  // namespace

std::size_t most_product_scratch(const ProductArgs& args) {
    std::int64_t bytes = 0;
    for (const ProductJob& job : args.jobs) {
        JobPlan entry;
        entry.job = &job;
        entry.weight = static_cast<const CpuWeight*>(job.weight);
        entry.row_bytes = row_bytes(*entry.weight, sizeof(float));
        bytes += scratch_bytes(entry, args.outputs);
    }
    return static_cast<std::size_t>(bytes);
}

std::size_t most_expert_product_scratch(const ExpertProductArgs& args) {
    if (args.experts.empty()) return 0;
    ProductJob all;
    all.weight = args.experts.front().get();
    all.rows = args.most_rows;
    // An expert's scales begin a cache line, and so do its outputs that wait for their gate.
    return most_product_scratch({{&all, 1}, args.outputs}) + args.experts.size() * 2 * 64;
}

bool fits_product_generic(const ProductArgs& args, const Machine& /*machine*/) { return fits(args, true); }
void run_product_generic(const ProductArgs& args, const Execution& execution) {
    run(args, execution, {&kProductGeneric, &kProductGeneric});
}
#if defined(__x86_64__)
bool fits_product_avx2(const ProductArgs& args, const Machine& machine) { return fits(args, machine.avx2); }
void run_product_avx2(const ProductArgs& args, const Execution& execution) {
    run(args, execution, {&kProductAvx2, &kProductAvx2});
}
bool fits_product_avx512(const ProductArgs& args, const Machine& machine) {
    return fits(args, machine.avx512);
}
void run_product_avx512(const ProductArgs& args, const Execution& execution) {
    run(args, execution, {&kProductAvx512, &kProductAvx512});
}
bool fits_product_avx512_bf16(const ProductArgs& args, const Machine& machine) {
    return fits(args, machine.avx512_bf16 && !machine.slow_bf16_dot);
}
void run_product_avx512_bf16(const ProductArgs& args, const Execution& execution) {
    run(args, execution, {&kProductAvx512Bf16, &kProductAvx512});
}
#endif

}  // namespace sluice::kernels::cpu
