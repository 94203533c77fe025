#include "kernels/reference/run.hpp"

#include <vector>

namespace sluice::kernels::reference {
namespace {

// Column i of row r of slice s.
float slice_value(const CombineArgs& args, std::int64_t r, std::int64_t i, int s) {
    float value = args.base == nullptr ? 0 : args.base[(s * args.rows + r) * args.dim + i];
    for (std::int64_t j = r * args.top_k; j < (r + 1) * args.top_k; ++j) {
        const std::int32_t expert = args.expert[j];
        if (expert < args.first_expert[s] || expert >= args.first_expert[s + 1]) continue;
        value += args.weight[j] * args.expert_rows[args.place[j] * args.dim + i];
    }
    return value;
}

// Level by level: neighbours are added, an odd last value passes up as it is.
float tree_sum(std::vector<float> values) {
    while (values.size() > 1) {
        std::vector<float> sums;
        for (std::size_t i = 0; i + 1 < values.size(); i += 2) sums.push_back(values[i] + values[i + 1]);
        if (values.size() % 2 == 1) sums.push_back(values.back());
        values = sums;
    }
    return values[0];
}

}  // namespace

void run_combine(const CombineArgs& args, const Execution&) {
    for (std::int64_t r = 0; r < args.rows; ++r) {
        for (std::int64_t i = 0; i < args.dim; ++i) {
            std::vector<float> values;
            for (int s = 0; s < args.slices; ++s) values.push_back(slice_value(args, r, i, s));
            args.out[r * args.dim + i] = tree_sum(values);
        }
    }
}

}  // namespace sluice::kernels::reference
