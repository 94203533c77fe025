// Many prompts stream through a run whose memory stays what it was near the beginning.
#include "jobs/job.hpp"

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

namespace sluice::test {
namespace {

constexpr int kPrompts = 2000;

class Stream : public JobTest {
protected:
    std::size_t answered() const {
        const std::string text = content("out.jsonl");
        return static_cast<std::size_t>(std::ranges::count(text, '\n'));
    }
};

TEST_F(Stream, TwoThousandPromptsInFlatMemory) {
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "AddressSanitizer keeps freed memory back: resident memory says nothing of the program";
#endif
    std::string prompts;
    for (int i = 0; i < kPrompts; ++i) {
        const auto words = static_cast<std::size_t>(i % 50 == 49 ? 60 : 1 + i * 7 % 11);
        std::string prompt = "Line " + std::to_string(i);
        for (std::size_t w = 0; w < words; ++w) prompt += w % 2 == 0 ? " my lord" : " speak";
        prompts += OrderedJson({{"prompt", prompt}, {"max_new_tokens", 2 + i % 5}}).dump() + "\n";
    }
    folder_.put("in.jsonl", prompts);
    // So little KV cache, and so small steps, that all memory for them has been used long before the first
    // quarter is over: it is taken from the system when it is first used.
    const auto process = start(files("v3", "in.jsonl", "out.jsonl") +
                               Words{"--kv-memory", "8MiB", "--max-seq-len", "512", "--max-batch", "16",
                                     "--max-batch-tokens", "64", "--progress", "off"});
    std::size_t early = 0;
    std::size_t late = 0;
    int late_samples = 0;
    while (process->running()) {
        const std::size_t resident = process->resident_bytes();
        const std::size_t done = answered();
        if (done > 0 && done < kPrompts / 4) early = std::max(early, resident);
        if (done >= kPrompts / 2 && done < kPrompts) {
            late = std::max(late, resident);
            ++late_samples;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    const Ending ending = process->wait();
    EXPECT_EQ(ending.code, 0) << ending.err;
    ASSERT_GT(early, 0U);
    ASSERT_GT(late_samples, 3);
    EXPECT_LE(late, early + (4U << 20)) << "resident memory grew from " << early << " to " << late;

    std::set<std::string> ids;
    for (const std::string& line : lines_of(content("out.jsonl")))
        ids.insert(OrderedJson::parse(line).at("id").get<std::string>());
    EXPECT_EQ(answered(), static_cast<std::size_t>(kPrompts));
    EXPECT_EQ(ids.size(), static_cast<std::size_t>(kPrompts));
}

}  // namespace
}  // namespace sluice::test
