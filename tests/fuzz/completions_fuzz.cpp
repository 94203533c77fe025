// Any bytes as a completion file that a run resumes. One that is accepted loses its torn end at most, and
// then is found whole; one that is refused stays as it was.
#include "fuzz.hpp"
#include "memory_file.hpp"
#include "text/resume.hpp"

#include <algorithm>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sluice;
    const std::string input(fuzz::text_of(data, size));
    const fuzz::MemoryFile file(input);
    std::int64_t lines = 0;
    if (!fuzz::accepts(ExitCode::File, [&] { lines = scan_completions(file.path()).lines(); })) {
        fuzz::promise(file.content() == input, "a refused file was changed");
        return 0;
    }
    const std::string kept = file.content();
    fuzz::promise(input.starts_with(kept), "more than the end was changed");
    fuzz::promise(kept.empty() || kept.ends_with('\n'), "the last line is not whole");
    const std::size_t last_line = input.substr(0, std::max<std::size_t>(input.size(), 1) - 1).rfind('\n') + 1;
    fuzz::promise(kept.size() >= last_line, "more than the last line was cut");
    fuzz::promise(scan_completions(file.path()).lines() == lines && file.content() == kept,
                  "another look finds something else");
    return 0;
}
