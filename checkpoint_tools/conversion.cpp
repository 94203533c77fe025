#include "checkpoint_tools/conversion.hpp"

#include "checkpoint_tools/progress.hpp"
#include "core/log.hpp"
#include "core/units.hpp"

namespace sluice {

void run_conversion(const std::filesystem::path& input, const std::filesystem::path& output,
                    const ConvertOptions& options) {
    ProgressLine line("writing " + output.string());
    ConvertResult result;
    try {
        result = convert_checkpoint(input, output, options, [&](std::uint64_t done, std::uint64_t total) {
            line.update(done, total);
        });
    } catch (...) {
        line.clear();
        throw;
    }
    line.clear();
    const double seconds = line.seconds();
    log_info("wrote {}: {} tensors in {} {}, {} in {:.1f} s ({:.2f} GB/s), id {}", output.string(),
             result.tensors, result.slices, result.slices == 1 ? "slice" : "slices", bytes_text(result.bytes),
             seconds, static_cast<double>(result.bytes) / 1e9 / seconds, result.id);
    if (!result.tokenizer)
        log_warning(
            "{} has no tokenizer, so it takes prompts of token ids alone: for text, put tokenizer.json or "
            "tokenizer.model beside the source's config.json or ckpt-0 and convert it again",
            output.string());
}

}  // namespace sluice
