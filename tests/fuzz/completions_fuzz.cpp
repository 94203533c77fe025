// Any bytes as a completion file that a run resumes. One that is accepted loses its torn end at most, and
// then is found whole; one that is refused stays as it was.
#include "fuzz.hpp"
#include "memory_file.hpp"
#include "text/resume.hpp"

#include <algorithm>
#include <string>

namespace {

using namespace sluice;

void resume(const std::string& input, OutputFormat format) {
    const fuzz::MemoryFile file(input);
    std::int64_t lines = 0;
    if (!fuzz::accepts(ExitCode::File, [&] { lines = scan_completions(file.path(), format).lines(); })) {
        fuzz::promise(file.content() == input, "a refused file was changed");
        return;
    }
    const std::string kept = file.content();
    fuzz::promise(input.starts_with(kept), "more than the end was changed");
    fuzz::promise(kept.empty() || kept.ends_with('\n'), "the last line is not whole");
    const std::size_t last_line = input.substr(0, std::max<std::size_t>(input.size(), 1) - 1).rfind('\n') + 1;
    fuzz::promise(kept.size() >= last_line, "more than the last line was cut");
    fuzz::promise(scan_completions(file.path(), format).lines() == lines && file.content() == kept,
                  "another look finds something else");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string input(fuzz::text_of(data, size));
    resume(input, OutputFormat::AsAsked);
    resume(input, OutputFormat::Txt);
    return 0;
}
