#include "jobs/job.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <sstream>
#include <thread>

namespace sluice::test {
namespace {

Words split(const std::string& text) {
    std::istringstream stream(text);
    Words words;
    for (std::string word; stream >> word;) words.push_back(word);
    return words;
}

}  // namespace

std::filesystem::path checkpoint(const std::string& name) {
    return std::filesystem::path(SLUICE_BUILT_CHECKPOINTS) / name;
}

Words operator+(Words words, const Words& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

Words JobTest::command(const Words& words, int ranks) const {
    Words all;
    if (ranks > 0) all = split(SLUICE_MPIRUN) + Words{"-n", std::to_string(ranks)};
    return all + program(words);
}

Words JobTest::program(const Words& words) const {
    constexpr std::string_view kComputing[] = {"sluice-generate", "sluice-score", "sluice-bench"};
    const std::string name = std::filesystem::path(program_).filename().string();
    const bool computes = std::ranges::find(kComputing, name) != std::end(kComputing);
    const bool says = std::ranges::find(words, "--device") != words.end();
    return Words{program_} + (computes && !says ? Words{"--device", "cpu"} : Words{}) + words;
}

Words JobTest::files(const std::string& model, const std::string& prompts, const std::string& output) const {
    return {
        "--model", checkpoint(model).string(), input_, path(prompts), "--output", path(output), "--threads",
        "1"};
}

std::unique_ptr<Process> JobTest::start(const Words& words, int ranks, const std::string& input) const {
    return std::make_unique<Process>(command(words, ranks), folder_.path(), input);
}

Ending JobTest::run(const Words& words, int ranks, const std::string& input) const {
    return start(words, ranks, input)->wait();
}

std::vector<OrderedJson> JobTest::records(const Words& words, const std::string& output, int ranks,
                                          int code) const {
    const Ending ending = run(words, ranks);
    EXPECT_EQ(ending.code, code) << ending.err;
    std::vector<OrderedJson> records;
    for (const std::string& line : lines_of(content(output))) records.push_back(OrderedJson::parse(line));
    return records;
}

bool grows_to(Process& process, const std::string& output, std::uintmax_t bytes) {
    using Clock = std::chrono::steady_clock;
    for (const auto limit = Clock::now() + std::chrono::minutes(1); Clock::now() < limit;) {
        std::error_code none;
        const std::uintmax_t size = std::filesystem::file_size(output, none);
        if (!none && size >= bytes) return true;
        if (!process.running()) return false;
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    return false;
}

std::vector<std::string> lines_of(std::string_view text) {
    std::vector<std::string> lines;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        EXPECT_NE(end, std::string_view::npos) << "the last line has no end: " << text;
        lines.emplace_back(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return lines;
}

std::vector<std::string> sorted_lines(std::string_view text) {
    std::vector<std::string> lines = lines_of(text);
    std::ranges::sort(lines);
    return lines;
}

const OrderedJson& record_of(const std::vector<OrderedJson>& records, const OrderedJson& id) {
    static const OrderedJson none = OrderedJson::object();
    const auto found = std::ranges::find_if(records, [&](const OrderedJson& r) { return r["id"] == id; });
    EXPECT_NE(found, records.end()) << "no record " << id;
    return found == records.end() ? none : *found;
}

std::string mixed_prompts(int count) {
    static const Words kWords{"king",  "the",      "my lord,", "of winter", "shall",
                              "speak", "no more;", "and",      "crown"};
    std::string text;
    for (int i = 0; i < count; ++i) {
        std::string prompt = "Scene " + std::to_string(i) + ".";
        const int words = i % 7 == 6 ? 90 : 3 + (i * 13) % 25;
        for (int w = 0; w < words; ++w)
            prompt += " " + kWords[static_cast<std::size_t>(i * 31 + w * w) % kWords.size()];
        OrderedJson line;
        if (i % 2 == 0) line["id"] = "r" + std::to_string(i);
        line["prompt"] = prompt;
        if (i % 3 == 0) line["seed"] = i;
        if (i % 5 == 0) line["temperature"] = 0;
        if (i % 4 == 0) line["meta"] = {{"n", i}};
        text += line.dump() + "\n";
    }
    return text;
}

}  // namespace sluice::test
