// Any bytes as what a stopped run left of its completions, also with the checksum put right, so that the
// lines behind it count.
#include "core/log.hpp"
#include "fuzz.hpp"
#include "text/partial_answers.hpp"

#include <unistd.h>
#include <xxhash.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace {

using namespace sluice;

std::filesystem::path output() {
    static const std::filesystem::path path =
        std::filesystem::temp_directory_path() / fmt::format("sluice-partial-fuzz-{}", ::getpid());
    return path;
}

void load(const std::string& content) {
    std::ofstream(partial_path(output()), std::ios::binary) << content;
    const PartialAnswers loaded = PartialAnswers::load(output());
    loaded.save(output());
    fuzz::promise(PartialAnswers::load(output()).size() == loaded.size(),
                  "what was saved is not loaded again");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    set_log_level(LogLevel::Error);  // no warning for each input
    const std::string input(fuzz::text_of(data, size));
    load(input);
    std::size_t lines = 0;
    for (const char c : input) lines += c == '\n' ? 1 : 0;
    for (std::size_t answers = 0; answers <= lines && answers < 4; ++answers)
        load(fmt::format("{{\"partial_answers\":1,\"answers\":{},\"xxh3\":{}}}\n", answers,
                         XXH3_64bits(input.data(), input.size())) +
             input);
    std::filesystem::remove(partial_path(output()));
    return 0;
}
