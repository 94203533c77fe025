// sluice-generate, or another job, on a small checkpoint, in a folder of the test's own.
#pragma once

#include "jobs/process.hpp"
#include "support/scratch_folder.hpp"

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::test {

using OrderedJson = nlohmann::ordered_json;
using Words = std::vector<std::string>;

// A checkpoint that the build made: "v3" (4 slices), "v3-1-slice", "v3-bf16", "v2", "wide" (8 slices).
std::filesystem::path checkpoint(const std::string& name);

Words operator+(Words words, const Words& more);

// One test's files and runs.
class JobTest : public testing::Test {
protected:
    // The command: program_ WORDS, under mpirun for `ranks` > 0, alone for 0.
    Words command(const Words& words, int ranks) const;
    // Its end, program_ WORDS: on the CPU where the words do not say, whatever the machine has.
    Words program(const Words& words) const;
    // --model, input_ and --output as usual: `prompts` and `output` are names in the folder.
    Words files(const std::string& model, const std::string& prompts, const std::string& output) const;

    std::unique_ptr<Process> start(const Words& words, int ranks = 0, const std::string& input = "") const;
    Ending run(const Words& words, int ranks = 0, const std::string& input = "") const;
    // Runs to the end and returns the records of `output`; the exit code must be `code`.
    std::vector<OrderedJson> records(const Words& words, const std::string& output, int ranks = 0,
                                     int code = 0) const;

    std::string path(const std::string& name) const { return (folder_ / name).string(); }
    std::string content(const std::string& name) const { return content_of(folder_ / name); }
    bool exists(const std::string& name) const { return std::filesystem::exists(folder_ / name); }

    std::string program_ = SLUICE_GENERATE;
    std::string input_ = "--prompts";  // the option
    ScratchFolder folder_;
};

// Whether the file grows to `bytes` before `process` ends, and within a minute.
bool grows_to(Process& process, const std::string& output, std::uintmax_t bytes);

std::vector<std::string> lines_of(std::string_view text);
// Lines in an order of their own: what two runs that finish requests in different orders must agree on.
std::vector<std::string> sorted_lines(std::string_view text);
// By id, as it stands in the file: "\"a\"" or "17".
const OrderedJson& record_of(const std::vector<OrderedJson>& records, const OrderedJson& id);

// `count` prompts as lines of jsonl: lengths from a few to some hundred tokens, own sampling on some.
std::string mixed_prompts(int count);

}  // namespace sluice::test
