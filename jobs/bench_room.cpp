#include "jobs/bench_room.hpp"

#include "jobs/bench_steps.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace sluice {

std::string BenchRoom::obstacle(int sequences, int length) const {
    if (length > setup_.limits.positions)
        return fmt::format("{} tokens are more than the {} positions", length, setup_.limits.positions);
    const std::int64_t pages = pages_of(sequences, length);
    if (pages <= setup_.memory.pages) return "";
    return fmt::format("{} pages of KV cache are more than the {} that there are (--kv-memory)", pages,
                       setup_.memory.pages);
}

int BenchRoom::prompt_rows() const {
    constexpr int kRows = 512;  // enough to be bound by computing
    return options_.max_batch_tokens > 0 ? options_.max_batch_tokens : std::min(kRows, setup_.batch.rows);
}

int BenchRoom::prompts_of(int length) const {
    return std::clamp(prompt_rows() / length, 1, setup_.batch.sequences);
}

int BenchRoom::warming_length() const { return std::min(prompt_rows(), setup_.limits.positions); }

// At least one has room, for the cache holds a sequence of all positions.
int BenchRoom::warming_prompts() const {
    const int length = warming_length();
    const std::int64_t room = setup_.memory.pages / pages_of(1, length);
    return static_cast<int>(std::min<std::int64_t>(prompts_of(length), room));
}

std::int64_t BenchRoom::pages_of_case(int sequences, int length) const {
    return obstacle(sequences, length).empty() ? pages_of(sequences, length) : 0;
}

std::int64_t BenchRoom::pages() const {
    std::int64_t most = pages_of(warming_prompts(), warming_length());
    if (options_.measures(BenchPart::Prefill)) {
        for (const int length : options_.prefill)
            most = std::max(most, pages_of_case(prompts_of(length), length));
    }
    if (options_.measures(BenchPart::Decode)) {
        for (const int batch : options_.batches)
            for (const int context : options_.contexts) most = std::max(most, pages_of_case(batch, context));
    }
    if (options_.measures(BenchPart::Job)) {
        std::int64_t all = 0;  // pages stay known when their sequence ends, and fresh ones come first
        for (const BenchRequest& request : requests_)
            all += pages_of(1, options_.job_prefix + request.longest());
        most = std::max(most, std::min<std::int64_t>(all, setup_.memory.pages));
    }
    return most;
}

}  // namespace sluice
