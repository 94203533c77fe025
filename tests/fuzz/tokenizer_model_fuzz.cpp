// Any bytes as a tokenizer.model, in either of its formats.
#include "check_tokenizer.hpp"
#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace sluice;
    fuzz::accepts(ExitCode::Checkpoint, [&] {
        const TokenizerFiles files{{{"tokenizer.model", std::string(fuzz::text_of(data, size))}}};
        const std::unique_ptr<Tokenizer> tokenizer = make_tokenizer(files);
        for (const char* text : fuzz::kTexts) fuzz::check_text(*tokenizer, text);
    });
    return 0;
}
